// The language of a page. It is remembered in memory alone; the first one is the browser's. A language is fetched when it is
// asked for, so that a slow link carries one.

let files = {};
let words = {};

/** Where the page's own texts are: what imports each language. */
export function haveTexts(imports) {
  files = imports;
}

/** The text of a key, with {names} filled in. */
export function t(key, values = {}) {
  const text = words[key];
  if (text === undefined) {
    console.error(`no text for ${key}`);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

export const language = () => words.language;
export const browserLanguage = () => (/^zh/i.test(navigator.language) ? "zh-CN" : "en");
export const otherLanguage = () => (words.language === "en" ? "zh-CN" : "en");

/** Loads a language; throws where its file cannot be fetched. */
export async function setLanguage(code) {
  words = (await files[code]()).default;
  document.documentElement.lang = code;
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
}

/** An instant in the reader's own time. A Chinese page writes days as cards do: 2016.05.01. */
export function localTime(instant, options = { dateStyle: "medium", timeStyle: "medium" }) {
  const at = new Date(instant);
  if (words.language !== "zh-CN" || !options.dateStyle) return new Intl.DateTimeFormat(words.language, options).format(at);
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}.${two(at.getMonth() + 1)}.${two(at.getDate())}`;
  return `${day} ${new Intl.DateTimeFormat("zh-CN", { timeStyle: options.timeStyle, hourCycle: "h23" }).format(at)}`;
}

/** The same with the zone, as a paper needs it that is read elsewhere. */
export function zonedTime(instant) {
  const kind = { timeZoneName: "longOffset" };
  const zone = new Intl.DateTimeFormat("en", kind).formatToParts(new Date(instant)).find(({ type }) => type === "timeZoneName").value;
  return `${localTime(instant)} ${zone}`;
}

/** How long ago an instant is, in words. */
export function ago(instantMs, nowMs = Date.now()) {
  const seconds = Math.max(0, Math.round((nowMs - instantMs) / 1000));
  const [unit, value] = seconds < 60 ? ["second", seconds] : seconds < 3600 ? ["minute", Math.floor(seconds / 60)] : ["hour", Math.floor(seconds / 3600)];
  return new Intl.RelativeTimeFormat(words.language, { numeric: "always" }).format(-value, unit);
}
