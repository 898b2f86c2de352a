// The desk: sign in, ask, show the answer. What is remembered is in state.js, what is on the screen in screen.js.

import { acts } from "./actions.js";
import { askGroup, askOne, record } from "./checks.js";
import { answered, forgetLink, wireLink } from "./link.js";
import { saveReceipt } from "./receipt.js";
import { closeReport, openReport, wireReport } from "./report.js";
import { hint, hintsFirst, render, renderGroup, renderRows, renderTyping, setStatus, showAnswer, wrong } from "./screen.js";
import { renderPrivate, switchPrivate, wirePrivate } from "./private_switch.js";
import { clearSettings, holdsNumber, setSettings, settings, wireSettings } from "./settings.js";
import { desk, forgetChecks } from "./state.js";
import { printed } from "./view.js";
import { parseCardDate } from "../web/card_date.js";
import { byId } from "../web/elements.js";
import { closeDoor, focusDoor, focusDoorFirst, renderDoor, wireDoor } from "../web/entry.js";
import { browserLanguage, haveTexts, otherLanguage, setLanguage, t } from "../web/i18n.js";
import { digestOf, parse, progress, tidied } from "../web/id_number.js";
import { isLine, readLine, readLines } from "../web/reading.js";
import { at, Session, secretOf } from "../web/session.js";

const idleMs = 120_000;
const slowMs = 4_000;
const guestsMax = 100;
const label = /^[A-Za-z0-9._:-]{1,64}$/;
let idle = 0;
let certificate = null; // its module, once it was fetched

// --- Asking ---

/** Runs a question; false where another one has begun meanwhile. */
async function during(asking) {
  const turn = ++desk.asking;
  closeReport();
  desk.check = null;
  setStatus("asking");
  renderRows();
  const slow = setTimeout(() => turn === desk.asking && setStatus("asking_long"), slowMs);
  const results = await asking().finally(() => clearTimeout(slow));
  if (turn !== desk.asking || !desk.session) return null;
  if (results.some(({ refusal }) => refusal?.kind === "credentials")) {
    signOut(["signed_out_credentials", "not_checked"]);
    return null;
  }
  record(results);
  if (byId("auto-save").checked) for (const result of results) if (result.answer?.receipt) saveReceipt(result, t);
  return results;
}

/** One card. `place` is its place in the group, which stays on the screen. */
async function ask(question) {
  if (question.place === undefined) desk.group = [];
  renderGroup();
  const results = await during(async () => [await askOne(question)]);
  if (!results) return;
  const [check] = results;
  if (question.place !== undefined) desk.group[question.place] = check;
  show(check);
}

function show(check) {
  desk.check = check;
  setStatus("");
  renderTyping();
  renderGroup();
  renderRows();
  showAnswer();
}

async function askSeveral(questions) {
  desk.group = [];
  renderGroup();
  const results = await during(() => askGroup(questions));
  if (!results) return;
  desk.group = results;
  setStatus("");
  renderGroup();
  renderRows();
  byId("group-title").focus();
}

function report(check) {
  const done = async (_, id) => {
    check.reported = check.row.reported = id;
    let isCopied = true;
    await navigator.clipboard?.writeText(id).catch(() => (isCopied = false));
    if (check === desk.check) setStatus(isCopied ? "report_sent_copied" : "report_sent", { id });
    renderRows();
    showAnswer();
  };
  openReport(check, { session: desk.session, site: settings().site, done });
}

function next() {
  forgetChecks();
  setStatus("result_empty");
  renderGroup();
  renderRows();
  byId("number").focus();
}

function clearFields() {
  for (const field of Object.keys(hintsFirst)) {
    byId(field).value = "";
    hint(field, null);
  }
  renderTyping();
}

// --- What the clerk does ---

function typed() {
  const text = byId("number").value;
  const short = tidied(text);
  if (short === "") {
    hint("number", null);
  } else if (isLine(text) && short.length > 18) {
    const { error, date } = readLine(text);
    if (error) wrong("number", error);
    else hint("number", date ? "line_read_date" : "line_read", { date: printed(date) });
  } else {
    const { error, missing } = progress(short);
    if (error) wrong("number", error);
    else hint("number", missing ? "number_missing" : "number_complete", { missing });
  }
  renderTyping();
}

// Several cards go to the list, a reader's line into its fields; a name is dropped with the rest of the line.
function pasted(event) {
  const text = event.clipboardData.getData("text/plain");
  const lines = readLines(text);
  const { number, date } = readLine(text.trim());
  if (lines.filter((line) => line.number).length > 1) {
    event.preventDefault();
    openSeveral(text);
  } else if (number && byId("number").value === "") {
    event.preventDefault();
    byId("number").value = number;
    if (date) byId("date").value = printed(date);
    typed();
  } else {
    setTimeout(() => {
      const { error } = parse(tidied(byId("number").value));
      if (error && !isLine(byId("number").value)) wrong("number", error);
    });
  }
}

async function submit(event) {
  event?.preventDefault();
  const { number, error, date: read } = byId("number").value.trim() ? readLine(byId("number").value) : { error: "empty" };
  const date = parseCardDate(byId("date").value);
  const reference = byId("reference").value.normalize("NFKC").trim();
  const badReference = reference && (!label.test(reference) || holdsNumber(reference));
  for (const [field, key] of [["number", error], ["date", date.error], ["reference", badReference && "malformed_label"]]) {
    hint(field, null);
    if (key) wrong(field, key);
  }
  const first = (error && "number") || (date.error && "date") || (badReference && "reference");
  if (first) return byId(first).focus();
  clearFields();
  // From here on the page knows the digest and four characters alone.
  await ask({ digest: await digestOf(number), tail: number.slice(-4), validFrom: date.date ?? read, reference });
}

/** A text from elsewhere on the page, as if it had been typed into the field for numbers. */
function read(text) {
  byId("number").value = text;
  submit();
}

function openSeveral(text) {
  byId("several").open = true;
  byId("lines").value = [byId("lines").value.trim(), text.trim()].filter(Boolean).join("\n");
  linesTyped();
  byId("lines").focus();
}

function linesTyped() {
  const lines = readLines(byId("lines").value);
  const count = lines.filter(({ number }) => number).length;
  if (lines.length === 0) hint("lines", null);
  else hint("lines", "lines_read", { count, other: lines.length - count });
  renderTyping();
}

async function submitSeveral(event) {
  event.preventDefault();
  const lines = readLines(byId("lines").value);
  const bad = lines.find(({ error }) => error);
  if (lines.length === 0) wrong("lines", "empty");
  else if (lines.length > guestsMax) wrong("lines", "lines_too_many", { max: guestsMax });
  else if (bad) wrong("lines", "line_wrong", { line: bad.at, what: bad.error });
  if (lines.length === 0 || lines.length > guestsMax || bad) return byId("lines").focus();
  clearFields();
  const question = async ({ number, date }, place) => ({ digest: await digestOf(number), tail: number.slice(-4), validFrom: date, place });
  await askSeveral(await Promise.all(lines.map(question)));
}

async function enter(event) {
  event.preventDefault();
  if (desk.entering) return;
  const [id, secret] = ["client-id", "client-secret"].map((name) => byId(name).value.trim());
  desk.entryMessage = !id || !secret ? ["missing_credentials"] : [];
  if (desk.entryMessage.length > 0) return render();
  desk.entering = true;
  render();
  const opened = new Session("checks", secretOf(id, secret), () => signOut(["signed_out_credentials"]));
  try {
    await opened.renew();
    begin(opened);
  } catch (error) {
    opened.end();
    desk.entryMessage = [error.kind ?? "unreadable"];
  }
  desk.entering = false;
  render();
  byId(desk.session ? "number" : "client-secret").focus();
}

function begin(session) {
  desk.session = session;
  desk.status = "result_empty";
  answered();
  byId("client-id").value = byId("client-secret").value = "";
  prepare(session);
}

/** The device was unlocked by somebody. */
function unlocked(session, who) {
  begin(session);
  desk.isDevice = true;
  setSettings(who);
  render();
  byId("number").focus();
}

// The house's name and the published keys: useful, and nothing that an answer waits for.
async function prepare(session) {
  try {
    const { name } = await session.get("/v1/organization");
    if (session === desk.session && typeof name === "string") desk.house = byId("house").textContent = name;
    certificate = await import("./certificate.js");
    await certificate.prepare();
  } catch {
    // The page works without.
  }
}

async function openCertificate() {
  try {
    certificate ??= await import("./certificate.js");
    certificate.openCertificate();
  } catch {
    setStatus("network");
  }
}

function signOut(message = []) {
  const { isDevice } = desk;
  forgetChecks();
  desk.session?.end();
  Object.assign(desk, { session: null, isDevice: false });
  desk.rows = [];
  desk.house = "";
  clearFields();
  clearSettings();
  closeReport();
  switchPrivate(false);
  certificate?.closeCertificate();
  forgetLink();
  desk.entryMessage = isDevice ? [] : message;
  if (isDevice) closeDoor(message);
  render();
  if (isDevice) focusDoor();
  else byId("client-id").focus();
}

/** Leaving is no signing out of a device: the same page may be loaded again. */
function leave() {
  if (!desk.isDevice) return signOut();
  forgetChecks();
  desk.session.end();
}

// --- Time and leaving ---

// A sandbox must not pass for the service: asked until it is known.
async function tellEnvironment() {
  try {
    const response = await fetch(at("/v1/status"), { credentials: "omit" });
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
  if (!desk.session) {
    byId("client-id").value = byId("client-secret").value = "";
    return;
  }
  certificate?.closeCertificate();
  const held = desk.check || desk.group.length > 0 || Object.keys(hintsFirst).some((field) => byId(field).value !== "");
  closeReport();
  // A reader types wherever the focus is: what had it goes with the answer.
  byId("number").focus({ preventScroll: true });
  if (!held) return;
  clearFields();
  const isAsking = desk.status === "asking" || desk.status === "asking_long";
  desk.check = null;
  desk.group = [];
  if (!isAsking) setStatus("cleared");
  renderGroup();
  renderRows();
}

// Whether an element takes what is typed.
const isField = (element) => element?.matches("textarea, input:not([type=checkbox], [type=radio], [type=file])");

function keys(event) {
  if (!desk.session || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && (desk.check || desk.group.length > 0 || byId("number").value)) {
    clearFields();
    next();
  } else if (/^\d$/.test(event.key) && !isField(document.activeElement) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    // The next number, typed or sent by a reader while a title, a button or nothing has the focus: it goes where numbers go.
    byId("number").focus();
  }
}

// A telephone's keyboard of digits has no X.
function putX() {
  const field = byId("number");
  field.setRangeText("X", field.selectionStart, field.selectionEnd, "end");
  field.focus();
  typed();
}

async function start() {
  haveTexts({ "zh-CN": () => import("./zh.js"), en: () => import("./en.js") });
  await setLanguage(browserLanguage());
  Object.assign(acts, { ask, next, report, read, open: show });
  byId("loading").hidden = true;
  byId("unfit").hidden = window.isSecureContext;
  byId("entry-form").onsubmit = enter;
  byId("ask-form").onsubmit = submit;
  byId("several-form").onsubmit = submitSeveral;
  byId("number").oninput = typed;
  byId("number").onpaste = pasted;
  byId("lines").oninput = linesTyped;
  byId("date").oninput = () => hint("date", null);
  byId("reference").oninput = () => hint("reference", null);
  byId("put-x").onclick = putX;
  byId("open-certificate").onclick = openCertificate;
  byId("sign-out").onclick = () => signOut();
  byId("language").onclick = () => setLanguage(otherLanguage()).then(() => { render(); renderDoor(); renderPrivate(); }, () => {});
  wireReport();
  wirePrivate();
  wireSettings();
  wireLink({
    age: () => (desk.check?.answer ? desk.check.atMs : null),
    "group-age": () => (desk.group.length > 0 ? Math.min(...desk.group.map(({ atMs }) => atMs)) : null),
  });
  for (const kind of ["pointerdown", "keydown", "input"]) document.addEventListener(kind, stir, { capture: true, passive: true });
  document.addEventListener("keydown", keys);
  window.addEventListener("pagehide", leave);
  setInterval(() => desk.session && renderRows(), 60_000);
  stir();
  render();
  if (window.isSecureContext && !(await wireDoor("desk", "checks", { opened: unlocked, lost: signOut }))) focusDoorFirst();
  await tellEnvironment();
}

start();
