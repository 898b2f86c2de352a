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

/** An instant in the reader's own time. */
export function localTime(instant, options = { dateStyle: "medium", timeStyle: "medium" }) {
  return new Intl.DateTimeFormat(words.language, options).format(new Date(instant));
}
