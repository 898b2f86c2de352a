// The auditor's page: a receipt, published keys, and who it is about come in; an answer comes out. Nothing is sent unless the reader
// asks for it: this service's key set may be fetched, and this service may be asked to audit. Nothing outlives the page.

import { askAudit, auditAnswer, readAudit } from "./audit.js";
import { judge, readFile } from "./judge.js";
import { answer, outcome } from "./view.js";
import { parseCardDate } from "../web/card_date.js";
import { byId } from "../web/elements.js";
import { browserLanguage, haveTexts, otherLanguage, setLanguage, t } from "../web/i18n.js";
import { parse, tidied } from "../web/id_number.js";
import { Wrong, readKeys } from "../web/jws.js";
import { readQr } from "../web/qr.js";
import { at } from "../web/session.js";

const fileBytesMax = 20_000_000;
/** 32 bytes in base64url: a salt, as papers have it in a code of its own. */
const saltForm = /^[\w-]{43}$/;

let file = {}; // the receipt at hand, with the words of its file
let latest = ""; // the last receipt that was read: what the fields say of a card is about it
let keys = [];
let shown = null; // {found, file}
let audited = null; // what the service says of it
let turn = 0; // counts what was asked: an answer to an earlier question is not shown
const told = { receipt: null, keys: null, card: null, audit: null }; // {key, values, wrong} under each group of fields

function render() {
  byId("language").textContent = otherLanguage() === "en" ? "English" : "中文";
  byId("language").lang = otherLanguage();
  for (const [group, text] of Object.entries(told)) {
    const place = byId(`${group}-told`);
    place.textContent = text ? t(text.key, text.values) : "";
    place.className = text?.wrong ? "hint wrong" : "hint";
  }
  byId("answer").replaceChildren(...(shown ? answer(shown.found, shown.file).filter(Boolean) : []));
  byId("audit-answer").replaceChildren(...(audited ? [auditAnswer(audited)] : []));
  byId("status").textContent = shown ? "" : t("nothing_yet");
}

function tell(group, key, { values = {}, wrong = false } = {}) {
  told[group] = key ? { key, values, wrong } : null;
}

// What was answered is about other words from here on.
function forget() {
  turn++;
  shown = audited = null;
}

function takeReceipt(text, isDropped = false) {
  forget();
  file = readFile(text);
  if (!file.receipt) {
    tell("receipt", text.trim() ? "receipt_unreadable" : null, { wrong: true });
  } else {
    tell("receipt", file.organization ? "receipt_taken_of" : "receipt_taken", { values: { name: file.organization } });
    aboutNew(isDropped);
  }
  render();
}

/** What is left of the receipt before would be held against this one: of that, only what its own file says stays. */
function aboutNew(isDropped) {
  const { receipt, receipt_salt: salt, card_valid_from: from } = file;
  const isNext = latest !== "" && receipt !== latest;
  latest = receipt;
  if (isNext && isDropped) byId("number").value = "";
  if (salt || isNext) byId("salt").value = salt ?? "";
  const said = from && from !== "-" ? from.replaceAll("-", ".") : "";
  if (said || from || isNext) byId("date").value = said;
  if (isNext) tell("card", null);
}

/** A salt came by itself: it is beside the receipt, not in its place. */
function takeSalt(text) {
  forget();
  byId("salt").value = text;
  tell("card", "salt_taken");
  render();
}

/** A text that was dropped, chosen or photographed, by what it is. */
async function takeText(text, isPicture) {
  if (saltForm.test(text.trim())) return takeSalt(text.trim());
  const isKeys = !isPicture && /^\s*\{[^]*"keys"\s*:/.test(text);
  byId(isKeys ? "keys" : "receipt").value = text;
  await (isKeys ? takeKeys(text) : takeReceipt(text, true));
}

async function takeKeys(text) {
  forget();
  const mine = turn;
  try {
    const read = text.trim() ? await readKeys(text) : [];
    if (mine !== turn) return;
    keys = read;
    tell("keys", keys.length > 0 ? "keys_taken" : null, { values: { count: keys.length } });
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    keys = [];
    tell("keys", error.kind, { wrong: true });
  }
  render();
}

async function ownKeys() {
  try {
    const response = await fetch(at("/.well-known/jwks.json"), { credentials: "omit", cache: "no-store", redirect: "error" });
    if (!response.ok) throw new Error("no keys");
    byId("keys").value = await response.text();
  } catch {
    tell("keys", "keys_not_fetched", { wrong: true });
    return render();
  }
  await takeKeys(byId("keys").value);
}

// Files of all kinds, dropped or chosen: a picture holds a receipt, a set of keys says so itself.
async function takeFiles(list) {
  const texts = [];
  for (const one of list) {
    const isPicture = one.type.startsWith("image/");
    if (one.size > fileBytesMax) tell("receipt", "file_too_large", { wrong: true });
    else texts.push({ text: await (isPicture ? textOf(one) : one.text()), isPicture });
  }
  // A salt is of the receipt beside it, in whichever order they come.
  const isSalt = ({ text }) => Boolean(text) && saltForm.test(text.trim());
  texts.sort((one, other) => isSalt(one) - isSalt(other));
  for (const { text, isPicture } of texts) {
    if (text === null) tell("receipt", "picture_unreadable", { wrong: true });
    else await takeText(text, isPicture);
  }
  render();
  if (file.receipt && keys.length > 0) await verify();
}

/** What the code on a picture says, or null. */
async function textOf(picture) {
  try {
    return (await readQr(picture)) || null;
  } catch {
    return null; // Not a picture that this browser reads.
  }
}

/** What was typed about the card, or null where it is wrong. */
function card() {
  const typed = byId("number").value.trim();
  const { number, error } = typed ? parse(tidied(typed)) : {};
  const date = parseCardDate(byId("date").value);
  const salt = byId("salt").value.trim();
  const pin = byId("pin").value.replace(/[\s:]/g, "").toLowerCase();
  tell("card", error ?? date.error ?? (number && !salt ? "salt_needed" : null), { wrong: true });
  const badPin = pin !== "" && !/^[0-9a-f]{64}$/.test(pin);
  if (badPin) tell("keys", "pin_malformed", { wrong: true });
  return told.card || badPin ? null : { number, date: date.date, salt, pin };
}

async function verify() {
  forget();
  const mine = turn;
  if (!file.receipt) tell("receipt", "receipt_needed", { wrong: true });
  if (keys.length === 0 && !told.keys?.wrong) tell("keys", "keys_needed", { wrong: true });
  const asked = card();
  if (!file.receipt || keys.length === 0 || !asked) {
    render();
    return byId(!file.receipt ? "receipt" : keys.length === 0 ? "keys" : told.card ? "number" : "pin").focus();
  }
  render();
  byId("status").textContent = t("verifying");
  const found = await judge({ file, keys, ...asked });
  if (mine !== turn) return;
  shown = { found, file };
  document.body.dataset.outcome = outcome(found);
  render();
  byId("answer-title").focus({ preventScroll: true });
  byId("result").scrollIntoView({ block: "nearest" });
}

async function audit() {
  forget();
  const mine = turn;
  const asked = card();
  const token = byId("token").value.trim();
  const { receipt } = file;
  const missing = !receipt ? "receipt_needed" : !asked?.number || !asked.salt ? "audit_needs" : !token ? "audit_token_needed" : null;
  tell("audit", missing ?? "audit_asking", { wrong: missing !== null });
  render();
  if (missing) return;
  const { told: found, wrong } = await askAudit(token, { receipt, ...asked });
  if (mine !== turn) return;
  tell("audit", wrong ?? null, { wrong: true });
  showAudit(found ?? null);
}

function showAudit(found) {
  audited = found;
  render();
  if (found) byId("audit-title").focus();
}

async function openAudit(event) {
  const [chosen] = event.target.files;
  if (!chosen) return;
  const found = chosen.size > fileBytesMax ? null : readAudit(await chosen.text());
  event.target.value = "";
  tell("audit", found ? null : "audit_unreadable", { wrong: true });
  showAudit(found);
}

function clear() {
  for (const id of ["token", "receipt", "keys", "pin", "salt", "number", "date"]) byId(id).value = "";
  for (const group of Object.keys(told)) told[group] = null;
  file = {};
  latest = "";
  keys = [];
  forget();
  render();
}

function wireFiles() {
  for (const name of ["receipt", "keys"]) {
    byId(`${name}-file`).onchange = async (event) => {
      await takeFiles([...event.target.files]);
      event.target.value = "";
    };
    byId(`${name}-open`).onclick = () => byId(`${name}-file`).click();
  }
  const over = (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", event.type === "dragover");
  };
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, over);
  document.addEventListener("drop", (event) => {
    const text = event.dataTransfer.getData("text/plain");
    if (event.dataTransfer.files.length > 0) return takeFiles([...event.dataTransfer.files]);
    if (text) takeFiles([new File([text], "dropped.txt", { type: "text/plain" })]);
  });
}

async function start() {
  haveTexts({ "zh-CN": () => import("./zh.js"), en: () => import("./en.js") });
  await setLanguage(browserLanguage());
  byId("loading").hidden = true;
  byId("unfit").hidden = window.isSecureContext;
  byId("verify").hidden = !window.isSecureContext;
  byId("receipt").oninput = () => takeReceipt(byId("receipt").value);
  byId("keys").oninput = () => takeKeys(byId("keys").value);
  for (const id of ["pin", "salt", "number", "date"]) {
    byId(id).oninput = () => {
      forget();
      render();
    };
  }
  byId("own-keys").onclick = ownKeys;
  byId("audit").onclick = audit;
  byId("audit-open").onclick = () => byId("audit-file").click();
  byId("audit-file").onchange = openAudit;
  byId("clear").onclick = clear;
  byId("form").onsubmit = (event) => {
    event.preventDefault();
    verify();
  };
  byId("language").onclick = () => setLanguage(otherLanguage()).then(render, () => {});
  window.addEventListener("pagehide", clear);
  wireFiles();
  render();
}

start();
