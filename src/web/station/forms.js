// Forms of the page, made of descriptions: labels that follow the language, what people type forgiven and judged, what the service
// refuses shown at its field. A form sends once; a repetition of a try that failed carries the same key.

import { parseCardDate, plain } from "../web/card_date.js";
import { acts, make, mark, told } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { isDate, parse } from "../web/id_number.js";
import { isLine, readLine } from "../web/reading.js";

// The tasks take them from here, beside the forms.
export { facts, redraw, told, zone } from "../web/elements.js";

const fieldOf = { select: "select", area: "textarea" };
const telling = ["network", "timeout", "unavailable", "unreadable", "limited", "abnormal", "credentials", "signed_out"];
/** Codes of refusals and of fields for which there are words. */
const codes = [
  "office_not_yours", "another_must_confirm", "report_not_active", "wrong_state", "start_not_after_listed", "not_found", "malformed_office",
  "malformed_phone", "malformed_region", "malformed_text", "start_needed", "other_start", "lost_in_future", "lost_before_card_start",
  "found_in_future", "found_before_card_start", "ends_before_start", "before_application", "journey_in_past", "journey_after_expiry", "out_of_range",
  "same_office", "unknown_place", "insufficient_scope", "starts_too_far_ahead", "starts_in_future", "before_first_cards", "malformed_date",
];

/** An id as the service gives it out. */
export const idForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const receiptForm = /^[\w-]+\.[\w-]+\.[\w-]+~([\w-]+)~[\w-]+$/;

/** The report that a scanned text names: its id, or the receipt of a write to it; undefined for any other. Nothing is believed: it is looked up. */
function reportNamed(text) {
  const claims = receiptForm.exec(text)?.[1];
  if (!claims) return idForm.test(text) ? text.toLowerCase() : undefined;
  try {
    const { jti } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
    return idForm.test(jti) ? jti.toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}

/** Why there is no success, in words. */
export function reasonOf(refusal) {
  const wait = refusal.waitS ? t("wait", { seconds: refusal.waitS }) : "";
  const word = codes.includes(refusal.code) ? `code_${refusal.code}` : telling.includes(refusal.kind) ? refusal.kind : refusal.kind === "scope" ? "scope" : "refused";
  return [t(word), wait].join(" ").trim();
}

/** A day as people write it: 2026.11.01, 20261101; {} where nothing is typed. */
function day(text) {
  const typed = plain(text);
  if (typed === "") return {};
  const found = /^(\d{4})(\d{2})(\d{2})$/.exec(typed) ?? /^(\d{4})[-./年](\d{1,2})[-./月](\d{1,2})日?$/.exec(typed);
  const [year, month, on] = found ? [found[1], found[2].padStart(2, "0"), found[3].padStart(2, "0")] : [];
  return found && isDate(year + month + on) ? { date: `${year}-${month}-${on}` } : { error: "malformed_date" };
}

function judged({ kind, optional }, field) {
  if (kind === "tick") return { value: field.checked };
  const text = field.value.trim();
  if (text === "" && optional) return {};
  if (kind === "number" || kind === "number_or_id") {
    const named = kind === "number_or_id" ? reportNamed(text) : undefined;
    if (named) return { value: named };
    const { number, error } = text === "" ? parse("") : readLine(text);
    return error ? { error: text === "" ? "empty" : error } : { value: number };
  }
  if (kind === "start" || kind === "day") {
    const { date, error } = kind === "start" ? parseCardDate(text) : day(text);
    return date ? { value: date } : { error: error ?? "needed" };
  }
  return text === "" ? { error: "needed" } : { value: kind === "integer" ? Number(text) : text };
}

/**
 * A form. `fields`: {name, kind: number|number_or_id|start|day|text|phone|area|integer|select|tick, words: [[value, key]], optional, hint, value}.
 * `send(values, key)` does the act; what it gives is shown by itself.
 */
export function form(id, fields, submit, send) {
  const message = make("p", { className: "message", role: "alert" });
  const button = told("button", submit, { className: "primary" });
  const made = fields.map((of) => ({ of, ...build(id, of) }));
  const element = make("form", { id, noValidate: true, autocomplete: "off" }, made.flatMap(({ parts }) => parts), message, button);
  let key = crypto.randomUUID();
  element.oninput = () => (key = crypto.randomUUID());
  /** A reader's line into its fields: the start, where the form asks for that of the same card. */
  const take = ({ field }) => {
    const { number, date } = isLine(field.value) ? readLine(field.value) : {};
    if (!number) return;
    field.value = number;
    const start = made.find(({ of }) => of.kind === "start")?.field;
    if (date && start && start.value.trim() === "") start.value = printed(date);
  };
  for (const one of made.filter(({ of }) => of.kind === "number")) {
    one.field.onchange = () => take(one);
    // A reader ends its line with Enter. Who holds what, and from when, is not said by then.
    one.field.onkeydown = (event) => {
      const next = made[made.indexOf(one) + 1]?.field;
      if (event.key !== "Enter" || event.isComposing || !next) return;
      event.preventDefault();
      take(one);
      const { error } = judged(one.of, one.field);
      mark(one.field, one.hint, error ? t(error) : "");
      if (!error) next.focus();
    };
  }
  element.onsubmit = async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    const values = {};
    let first = null;
    for (const one of made.filter(({ of }) => of.kind === "number")) take(one);
    for (const { of, field, hint } of made) {
      const { value, error } = judged(of, field);
      mark(field, hint, error ? t(error) : "");
      if (error) first ??= field;
      else if (value !== undefined) values[of.name] = value;
    }
    if (first) return first.focus();
    button.disabled = true;
    message.textContent = "";
    try {
      await send(values, key);
      key = crypto.randomUUID();
    } catch (refusal) {
      if (!refusal.kind) throw refusal;
      message.textContent = reasonOf(refusal);
      for (const error of refusal.errors) {
        const wrong = made.find(({ of }) => `/${of.at ?? of.name}` === error.pointer);
        if (!wrong) continue;
        message.textContent = "";
        mark(wrong.field, wrong.hint, t(codes.includes(error.code) ? `code_${error.code}` : "refused"));
        wrong.field.focus();
      }
    } finally {
      button.disabled = false;
    }
  };
  /** Empties the fields whose content is about a person. */
  element.empty = () => {
    for (const { of, field, hint } of made) {
      if (of.kind !== "tick" && of.kind !== "select" && !of.keeps) field.value = "";
      if (of.kind === "tick") field.checked = false;
      mark(field, hint, "");
    }
    message.textContent = "";
  };
  element.field = (name) => made.find(({ of }) => of.name === name).field;
  return element;
}

function build(form, of) {
  const { name, kind, words = [], optional, hint: words_of_hint, value = "" } = of;
  const id = `${form}-${name}`;
  const properties = { id };
  if (kind === "tick") {
    const field = make("input", { ...properties, type: "checkbox" });
    return { field, hint: null, parts: [make("label", { className: "tick" }, field, " ", told("span", of.label ?? `field_${name}`))] };
  }
  const field = make(fieldOf[kind] ?? "input", properties);
  if (kind === "select") field.append(...words.map(([word, key]) => told("option", key, { value: word })));
  else Object.assign(field, { autocomplete: "off", spellcheck: false });
  if (kind.startsWith("number")) Object.assign(field, { className: "code big", inputMode: "text", autocapitalize: "characters", translate: false });
  if (kind === "start" || kind === "day") Object.assign(field, { className: "code", inputMode: "decimal", placeholder: "2016.05.01" });
  if (kind === "phone") Object.assign(field, { className: "code", inputMode: "tel" });
  if (kind === "integer") Object.assign(field, { inputMode: "numeric" });
  if (kind === "area") Object.assign(field, { rows: 3, maxLength: 2000 });
  if (value !== "") field.value = value;
  const label = make("label", { htmlFor: id }, told("span", of.label ?? `field_${name}`), optional ? " " : "", optional ? told("i", "optional") : "");
  const hint = make("p", { id: `${id}-hint`, className: "hint" });
  if (words_of_hint) hint.dataset.t = hint.dataset.first = words_of_hint;
  hint.textContent = words_of_hint ? t(words_of_hint) : "";
  hint.setAttribute("aria-live", "polite");
  field.setAttribute("aria-describedby", hint.id);
  return { field, hint, parts: [label, field, hint] };
}

/** A button whose act may be refused: why is said beside it. */
export const act = acts(reasonOf);

/** A date as the card prints it. */
export const printed = (date) => date?.replaceAll("-", ".");
