// What is on the screen, from what the desk remembers. Builds nothing that is kept and sends nothing.

import { isDown, renderLink } from "./link.js";
import { renderSettings } from "./settings.js";
import { desk } from "./state.js";
import { actionsOf } from "./actions.js";
import { advice, facts, groupTable, head, slip, table } from "./view.js";
import { button, byId, make } from "../web/elements.js";
import { otherLanguage, t } from "../web/i18n.js";

export const hintsFirst = { number: "number_intro", date: "date_intro", reference: "reference_intro", lines: "lines_intro" };
let ticking = 0;

export function render() {
  byId("language").textContent = otherLanguage() === "en" ? "English" : "中文";
  byId("language").lang = otherLanguage();
  byId("entry").hidden = Boolean(desk.session) || !window.isSecureContext;
  byId("desk").hidden = byId("sign-out").hidden = !desk.session;
  byId("entry-message").textContent = desk.entryMessage.map((key) => t(key)).join(" ");
  byId("enter").textContent = t(desk.entering ? "signing_in" : "sign_in_title");
  byId("house").textContent = desk.house;
  for (const field of Object.keys(hintsFirst)) renderHint(field);
  renderSettings();
  renderResult();
  renderGroup();
  renderRows();
}

function renderHint(field) {
  const hint = desk.hints[field] ?? { key: hintsFirst[field] };
  const text = t(hint.key, { ...hint, what: hint.what ? t(hint.what) : "" });
  const place = byId(`${field}-hint`);
  if (place.textContent !== text) place.textContent = text;
  place.className = hint.wrong ? "hint wrong" : "hint";
  if (hint.wrong) byId(field).setAttribute("aria-invalid", "true");
  else byId(field).removeAttribute("aria-invalid");
}

export function hint(field, key, details = {}) {
  desk.hints[field] = key ? { key, ...details } : undefined;
  renderHint(field);
}

export const wrong = (field, key, details = {}) => hint(field, key, { ...details, wrong: true });

export function setStatus(key, values = {}) {
  desk.status = key;
  desk.statusValues = values;
  renderResult();
}

export function renderResult() {
  clearInterval(ticking);
  const { check, status } = desk;
  byId("status").textContent = status ? t(status, desk.statusValues) : "";
  byId("result").className = status === "asking" || status === "asking_long" ? "busy" : "";
  byId("desk").classList.toggle("answered", status !== "result_empty");
  byId("answer").replaceChildren(...(check ? (check.refusal ? failure(check) : verdict(check)) : []));
  byId("status").classList.toggle("above", Boolean(check));
  const isPrintable = Boolean(check?.answer?.receipt);
  document.body.classList.toggle("printable", isPrintable);
  byId("slip").hidden = !isPrintable;
  byId("slip").replaceChildren(...(isPrintable ? slip(check) : []));
  renderLink();
}

/** The answer on the screen is of the card before, from the first character of the next on. */
export function renderTyping() {
  const isTyping = ["number", "lines"].some((id) => byId(id).value.trim() !== "");
  byId("group-before").hidden = !isTyping;
  const band = byId("before");
  if (!band) return;
  band.hidden = !isTyping;
  band.textContent = isTyping ? t("answer_before", { tail: desk.check?.tail ?? "" }) : "";
}

const bands = () => [
  make("p", { id: "before", className: "band", hidden: true }),
  make("p", { id: "age", className: "band", hidden: true }),
];

function verdict(check) {
  const { confirm, row } = actionsOf(check);
  const remember = check.answer.receipt ? make("p", { className: "hint" }, t("receipt_gone")) : null;
  const reported = check.reported ? reportedNote(check.reported) : null;
  return [...bands(), head(check), make("div", { className: "body" }, confirm, advice(check), reported, row, facts(check), remember)];
}

function reportedNote(id) {
  const copy = button("copy", async () => {
    await navigator.clipboard.writeText(id);
    copy.textContent = t("copied");
  }, "small");
  return make("p", { className: "reported" }, `${t("report_number")} `, make("b", { className: "code", id: "report-id" }, id), " ", copy);
}

function failure(check) {
  const { refusal } = check;
  const { again, next } = actionsOf(check);
  const wait = make("p", { className: "wait" });
  const tick = () => {
    const seconds = Math.ceil((check.retryAtMs - Date.now()) / 1000);
    again.disabled = seconds > 0;
    wait.textContent = seconds > 0 ? t("wait", { seconds }) : t("wait_over");
    if (seconds <= 0) clearInterval(ticking);
  };
  if (refusal.waitS > 0) {
    ticking = setInterval(tick, 500);
    tick();
  }
  const id = refusal.requestId ? `${t("request")} ${refusal.requestId}` : "";
  const code = refusal.code ? `${t("code")} ${refusal.code}` : "";
  const small = make("p", { className: "hint break" }, [code, id].filter(Boolean).join(" · "));
  const actions = make("div", { className: "actions" }, again, next);
  return [head(check), make("div", { className: "body" }, wait, advice(check), actions, small)];
}

export function renderGroup() {
  byId("group").hidden = desk.group.length === 0;
  if (desk.group.length > 0) byId("group-rows").replaceChildren(...groupTable(desk.group, desk.check, (check) => actionsOf(check).open));
  renderLink();
}

export function renderRows() {
  const today = new Date().toDateString();
  desk.rows = desk.rows.filter((row) => new Date(row.atMs).toDateString() === today);
  // Only the check at hand still has its receipt.
  const more = (row) => (row === desk.check?.row && desk.check.answer?.receipt ? actionsOf(desk.check).save("small") : null);
  byId("rows").replaceChildren(table(desk.rows, more));
}

/** Brings the answer up, and lets a screen reader begin there; the one field that is left to fill comes first. */
export function showAnswer() {
  if (!desk.check) return;
  (byId("confirm") ?? byId("answer-title"))?.focus({ preventScroll: true });
  const { top, bottom } = document.querySelector("#answer .verdict").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) byId("result").scrollIntoView();
}

export { isDown };
