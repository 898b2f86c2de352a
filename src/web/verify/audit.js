// The audit of a receipt by the registry log, as the service tells it: asked with a token that the reader pastes, or read from a file that
// the service answered. It is the service's word; `lostcard receipt audit` judges by itself. Nothing is kept.

import { make } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { digestOf } from "../web/id_number.js";
import { at } from "../web/session.js";

const outcomes = ["consistent", "contradicted", "cannot_tell"];

/** The answer in a text, or null. */
export function readAudit(text) {
  try {
    const told = JSON.parse(text);
    return outcomes.includes(told?.outcome) && Array.isArray(told.entries) ? told : null;
  } catch {
    return null;
  }
}

/** Asks this service: {told}, or {wrong} in a word of the locale files. */
export async function askAudit(token, { receipt, salt, number, date }) {
  const body = { receipt, receipt_salt: salt, id_digest: await digestOf(number), ...(date ? { card_valid_from: date } : {}) };
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
  const options = { method: "POST", body: JSON.stringify(body), headers, credentials: "omit", cache: "no-store", redirect: "error" };
  try {
    const response = await fetch(at("/v1/receipts/audit"), options);
    if (response.status === 401 || response.status === 403) return { wrong: "audit_token_refused" };
    if (response.status === 422) return { wrong: "audit_not_about" };
    const told = response.ok ? readAudit(await response.text()) : null;
    return told ? { told } : { wrong: "audit_no_answer" };
  } catch {
    return { wrong: "audit_no_answer" };
  }
}

/** What it looks like. */
export function auditAnswer(told) {
  const look = { consistent: "verified", contradicted: "refused", cannot_tell: "authentic" }[told.outcome];
  const [origin, size] = String(told.checkpoint ?? "").split("\n");
  const pairs = [
    ["audit_reason", told.reason],
    ["audit_log", origin],
    ["audit_size", size],
    ["audit_entries", String(told.entries.length)],
  ];
  const terms = pairs.filter(([, value]) => value).map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value)));
  return make(
    "div",
    { className: "panel audit", id: "audit-result" },
    make("h2", { id: "audit-title", tabIndex: -1, className: look }, t(`audit_${told.outcome}`)),
    make("dl", { className: "facts" }, terms),
    make("p", { className: "hint" }, t("audit_word")),
    make("p", { className: "code" }, "lostcard receipt audit"),
  );
}
