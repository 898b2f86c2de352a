// The desk: sign in, ask, show the answer. What the page remembers is in this file's variables and gone with the page: the session,
// today's rows without numbers, and the check at hand with its digest and receipt, until the next one, two idle minutes, or leaving.

import { parseCardDate } from "./card_date.js";
import { digestOf, parse, progress } from "./id_number.js";
import { saveReceipt } from "./receipt.js";
import { closeReport, openReport, wireReport } from "./report.js";
import { advice, facts, head, slip, table } from "./view.js";
import { button, byId, make } from "../web/elements.js";
import { browserLanguage, haveTexts, otherLanguage, setLanguage, t } from "../web/i18n.js";
import { Refusal, Session } from "../web/session.js";

const idleMs = 120_000;
const slowMs = 4_000;
const rowsMax = 500;
const verdicts = ["not_listed", "card_listed", "other_card_listed", "number_listed"];
const label = /^[A-Za-z0-9._:-]{1,64}$/;

let session = null;
let entering = false;
let rows = [];
let check = null; // {digest, validFrom, reference, answer | refusal, at}
let shown = false; // whether the check at hand is on the screen
let asking = 0; // counts questions: an answer to an earlier one is not shown
let status = "result_empty";
let entryMessage = [];
let hints = {};
let idle = 0;
let ticking = 0;

const hintsFirst = { number: "number_intro", date: "date_intro", reference: "reference_intro" };

// --- What is on the screen ---

function render() {
  byId("language").textContent = otherLanguage() === "en" ? "English" : "中文";
  byId("language").lang = otherLanguage();
  byId("entry").hidden = Boolean(session) || !window.isSecureContext;
  byId("desk").hidden = byId("sign-out").hidden = !session;
  byId("entry-message").textContent = entryMessage.map((key) => t(key)).join(" ");
  byId("enter").textContent = t(entering ? "signing_in" : "sign_in_title");
  for (const field of Object.keys(hintsFirst)) renderHint(field);
  renderResult();
  renderRows();
}

function renderHint(field) {
  const hint = hints[field] ?? { key: hintsFirst[field] };
  const text = t(hint.key, hint);
  const place = byId(`${field}-hint`);
  if (place.textContent !== text) place.textContent = text;
  place.className = hint.wrong ? "hint wrong" : "hint";
  if (hint.wrong) byId(field).setAttribute("aria-invalid", "true");
  else byId(field).removeAttribute("aria-invalid");
}

function hint(field, key, details = {}) {
  hints[field] = key ? { key, ...details } : undefined;
  renderHint(field);
}

const wrong = (field, key) => hint(field, key, { wrong: true });

function renderResult() {
  clearInterval(ticking);
  byId("status").textContent = status ? t(status) : "";
  byId("result").className = status === "asking" || status === "asking_long" ? "busy" : "";
  const visible = check && shown;
  byId("answer").replaceChildren(...(visible ? (check.refusal ? failure() : verdict()) : []));
  const printable = visible && check.answer?.receipt;
  byId("status").classList.toggle("above", Boolean(visible));
  document.body.classList.toggle("printable", Boolean(printable));
  byId("slip").hidden = !printable;
  byId("slip").replaceChildren(...(printable ? slip(check) : []));
}

function verdict() {
  const { answer } = check;
  const at = check;
  const keep = answer.receipt
    ? [button("save", () => saveReceipt(at, t)), button("print", () => window.print())]
    : [make("p", { className: "hint" }, t("no_receipt"))];
  const report = at.reported ? null : button("report", () => report_(at), answer.verdict === "card_listed" ? "strong" : "");
  const confirm = answer.verdict === "number_listed" && !at.validFrom ? confirmForm(at) : null;
  const remember = answer.receipt ? make("p", { className: "hint" }, t("receipt_gone")) : null;
  const actions = make("div", { className: "actions" }, button("next", nextCard, confirm ? "" : "primary"), report, keep);
  return [head(at), make("div", { className: "body" }, advice(at), confirm, actions, facts(at), remember)];
}

// The start date alone: the number was cleared, its digest is still at hand.
function confirmForm(at) {
  const input = make("input", { id: "confirm", className: "code", autocomplete: "off", placeholder: "2016.05.01" });
  const error = make("p", { id: "confirm-hint", className: "hint wrong", role: "alert" });
  input.setAttribute("aria-describedby", "confirm-hint");
  const form = make("form", { className: "confirm", noValidate: true });
  form.append(make("label", { htmlFor: "confirm" }, t("date")), input, error, make("button", { className: "primary" }, t("check_again")));
  form.onsubmit = (event) => {
    event.preventDefault();
    const date = parseCardDate(input.value);
    if (date.date) return ask({ digest: at.digest, validFrom: date.date, reference: at.reference });
    error.textContent = t(date.error ?? "date_needed");
    input.setAttribute("aria-invalid", "true");
    input.focus();
  };
  return form;
}

function failure() {
  const { refusal, digest, validFrom, reference } = check;
  const again = button("try_again", () => ask({ digest, validFrom, reference }), "primary");
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
  const actions = make("div", { className: "actions" }, again, button("next", nextCard));
  return [head(check), make("div", { className: "body" }, wait, advice(check), actions, small)];
}

function renderRows() {
  const today = new Date().toDateString();
  rows = rows.filter((row) => new Date(row.at).toDateString() === today);
  // Only the check at hand still has its receipt.
  const more = (row) => (row === check?.row && check.answer?.receipt ? button("save", () => saveReceipt(check, t), "small") : null);
  byId("rows").replaceChildren(table(rows, more));
}

// --- Asking ---

async function ask(question) {
  const turn = ++asking;
  closeReport();
  check = null;
  shown = false;
  setStatus("asking");
  renderRows();
  const slow = setTimeout(() => turn === asking && setStatus("asking_long"), slowMs);
  const { digest, validFrom, reference } = question;
  const body = {
    id_digest: digest,
    purpose: byId("purpose").value,
    ...(validFrom && { card_valid_from: validFrom }),
    ...(byId("site").value && { site: byId("site").value }),
    ...(reference && { client_ref: reference }),
  };
  const result = { ...question, at: new Date().toISOString() };
  try {
    result.answer = readAnswer(await session.post("/v1/checks", body));
  } catch (error) {
    result.refusal = error instanceof Refusal ? error : new Refusal("unreadable");
    result.retryAtMs = Date.now() + result.refusal.waitS * 1000;
  } finally {
    clearTimeout(slow);
  }
  if (turn !== asking || !session) return;
  if (result.refusal?.kind === "credentials") return signOut(["signed_out_credentials", "not_checked"]);
  show(result);
}

// Anything but a verdict of the contract is no answer.
function readAnswer(answer) {
  if (!verdicts.includes(answer.verdict) || typeof answer.check_id !== "string" || Number.isNaN(Date.parse(answer.as_of))) {
    throw new Refusal("unreadable");
  }
  return answer;
}

function show(result) {
  const { at, reference, validFrom, refusal, answer } = result;
  const told = answer && { verdict: answer.verdict, listing: answer.listing };
  result.row = { at, reference, validFrom: Boolean(validFrom), refusal, answer: told };
  rows = [result.row, ...rows].slice(0, rowsMax);
  check = result;
  shown = true;
  setStatus("");
  renderRows();
  if (answer?.receipt && byId("auto-save").checked) saveReceipt(result, t);
  showAnswer();
}

// A phone shows the answer below the form: bring it up, and let a screen reader begin there.
function showAnswer() {
  if (!check || !shown) return;
  byId("answer-title")?.focus({ preventScroll: true });
  const { top, bottom } = document.querySelector("#answer .verdict").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) byId("result").scrollIntoView();
}

function setStatus(key) {
  status = key;
  renderResult();
}

function report_(at) {
  const done = () => {
    at.reported = at.row.reported = true;
    if (at !== check) return renderRows();
    setStatus("report_sent");
    renderRows();
    showAnswer();
  };
  openReport(at, { session, site: byId("site").value, done });
}

function nextCard() {
  asking++;
  check = null;
  shown = false;
  setStatus("result_empty");
  renderRows();
  byId("number").focus();
}

function clearFields() {
  for (const field of ["number", "date", "reference"]) {
    byId(field).value = "";
    hint(field, null);
  }
}

// --- What the clerk does ---

function typed() {
  const { error, missing } = progress(byId("number").value);
  if (byId("number").value === "") hint("number", null);
  else if (error) wrong("number", error);
  else hint("number", missing ? "number_missing" : "number_complete", { missing });
  // The answer on the screen belongs to another card from here on.
  if (check && shown) {
    shown = false;
    closeReport();
    setStatus("typing_clears");
  }
}

function pasted() {
  const { error } = parse(byId("number").value);
  if (error) wrong("number", error);
}

async function submit(event) {
  event.preventDefault();
  const { number, error } = parse(byId("number").value);
  const date = parseCardDate(byId("date").value);
  const reference = byId("reference").value.trim();
  const badReference = reference && (!label.test(reference) || /\d{15}/.test(reference));
  hint("number", null);
  if (error) wrong("number", error);
  hint("date", null);
  if (date.error) wrong("date", date.error);
  hint("reference", null);
  if (badReference) wrong("reference", "malformed_label");
  const first = (error && "number") || (date.error && "date") || (badReference && "reference");
  if (first) return byId(first).focus();
  clearFields();
  // From here on the page knows the digest alone.
  await ask({ digest: await digestOf(number), validFrom: date.date, reference });
}

async function enter(event) {
  event.preventDefault();
  if (entering) return;
  const [id, secret, site] = ["client-id", "client-secret", "site"].map((name) => byId(name).value.trim());
  byId("site").value = site;
  const badSite = site && (!label.test(site) || /\d{15}/.test(site));
  entryMessage = !id || !secret ? ["missing_credentials"] : badSite ? ["malformed_label"] : [];
  if (entryMessage.length > 0) return render();
  entering = true;
  render();
  const opened = new Session("checks", id, secret, () => signOut(["signed_out_credentials"]));
  try {
    await opened.renew();
    session = opened;
    byId("client-id").value = byId("client-secret").value = "";
  } catch (error) {
    opened.end();
    entryMessage = [error.kind ?? "unreadable"];
  }
  entering = false;
  status = "result_empty";
  render();
  byId(session ? "number" : "client-secret").focus();
}

function signOut(message = []) {
  asking++;
  session?.end();
  session = check = null;
  shown = false;
  rows = [];
  clearFields();
  closeReport();
  entryMessage = message;
  render();
  byId("client-id").focus();
}

// --- Time and leaving ---

// A sandbox must not pass for the service: asked until it is known.
async function tellEnvironment() {
  try {
    const response = await fetch("/v1/status", { credentials: "omit" });
    byId("sandbox").hidden = (await response.json()).environment !== "sandbox";
    if (response.ok) return;
  } catch {
    // No network, or no answer of the service.
  }
  setTimeout(tellEnvironment, 10_000);
}

function stir() {
  clearTimeout(idle);
  idle = setTimeout(rest, idleMs);
}

function rest() {
  if (!session) {
    byId("client-id").value = byId("client-secret").value = "";
    return;
  }
  const held = check || ["number", "date", "reference"].some((field) => byId(field).value !== "");
  if (!held) return;
  clearFields();
  closeReport();
  check = null;
  shown = false;
  if (status !== "asking" && status !== "asking_long") setStatus("cleared");
  renderRows();
}

function keys(event) {
  if (event.key === "Escape" && session && !byId("report").open && (check || byId("number").value)) {
    clearFields();
    nextCard();
  } else if (/^\d$/.test(event.key) && document.activeElement?.id === "answer-title" && !event.ctrlKey && !event.metaKey && !event.altKey) {
    // The next number, typed or sent by a reader: it goes where numbers go.
    byId("number").focus();
  }
}

async function start() {
  haveTexts({ "zh-CN": () => import("./zh.js"), en: () => import("./en.js") });
  await setLanguage(browserLanguage());
  byId("loading").hidden = true;
  byId("unfit").hidden = window.isSecureContext;
  byId("entry-form").onsubmit = enter;
  byId("ask-form").onsubmit = submit;
  byId("number").oninput = typed;
  byId("number").onpaste = () => setTimeout(pasted);
  byId("date").oninput = () => hint("date", null);
  byId("reference").oninput = () => hint("reference", null);
  byId("sign-out").onclick = () => signOut();
  byId("language").onclick = () => setLanguage(otherLanguage()).then(render, () => {});
  wireReport();
  for (const kind of ["pointerdown", "keydown", "input"]) document.addEventListener(kind, stir, { capture: true, passive: true });
  document.addEventListener("keydown", keys);
  window.addEventListener("pagehide", () => signOut());
  setInterval(() => session && renderRows(), 60_000);
  stir();
  render();
  if (window.isSecureContext) byId("client-id").focus();
  await tellEnvironment();
}

start();
