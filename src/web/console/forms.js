// Forms and tables of administration: labels that follow the language, what the service refuses shown at its field, tables whose rows
// become blocks on a telephone. A form sends once; a repetition of a try that failed carries the same key.

import { acts, make, mark, told } from "../web/elements.js";
import { t } from "../web/i18n.js";

const fieldOf = { select: "select", area: "textarea" };
/** Codes of refusals and of members for which there are words. */
const codes = [
  "another_must_confirm", "command_line_only", "conflict", "insufficient_role", "malformed_label", "wrong_state", "not_found", "out_of_range", "scope_of_other_kind", "unknown_value", "duplicate_member",
  "malformed_instant", "malformed_keys", "malformed_numbers", "malformed_office", "malformed_pem", "malformed_rate", "malformed_region", "malformed_text", "malformed_id",
];
const telling = ["ended", "network", "timeout", "unavailable", "unreadable", "limited", "abnormal", "credentials", "scope", "signed_out"];

const worded = (code) => (codes.includes(code) ? `code_${code}` : "refused");

/** Why there is no success, in words. */
export function reasonOf({ code, kind, waitS }) {
  const word = codes.includes(code) ? `code_${code}` : telling.includes(kind) ? kind : "refused";
  return waitS ? `${t(word)} (${t("wait", { seconds: waitS })})` : t(word);
}

/**
 * A form. `fields`: {name, kind: text|code|time|area|select|tick|ticks, words: [[value, key]], optional, hint, value}. `send(values, key)`
 * does the act. Ticks give a list, empty texts of optional fields nothing.
 */
export function form(id, fields, submit, send) {
  const message = make("p", { className: "message", role: "alert" });
  const button = told("button", submit, { className: "primary" });
  const made = fields.map((of) => ({ of, ...build(id, of) }));
  const element = make("form", { id, noValidate: true, autocomplete: "off" }, made.flatMap(({ parts }) => parts), message, button);
  let key = crypto.randomUUID();
  element.oninput = () => (key = crypto.randomUUID());
  element.onsubmit = async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    message.textContent = "";
    made.forEach((one) => mark(one.field, one.hint, ""));
    const missing = made.filter((one) => !one.of.optional && isEmpty(one.read()));
    missing.forEach((one) => mark(one.field, one.hint, t("needed")));
    if (missing.length > 0) return missing[0].field.focus();
    const values = Object.fromEntries(made.map((one) => [one.of.name, one.read()]).filter(([, value]) => !isEmpty(value)));
    button.disabled = true;
    try {
      await send(values, key);
      key = crypto.randomUUID();
    } catch (refusal) {
      if (!refusal.kind) throw refusal;
      const wrong = refusal.errors.map(({ pointer, code }) => [made.find(({ of }) => pointer === `/${of.name}`), code]).filter(([one]) => one);
      wrong.forEach(([one, code]) => mark(one.field, one.hint, t(worded(code))));
      if (wrong.length > 0) wrong[0][0].field.focus();
      else message.textContent = reasonOf(refusal);
    } finally {
      button.disabled = false;
    }
  };
  element.empty = () => {
    for (const one of made) if (["text", "code", "time", "area"].includes(one.of.kind)) one.field.value = "";
  };
  return element;
}

const isEmpty = (value) => value === "" || (Array.isArray(value) && value.length === 0);

function build(form, of) {
  const { name, kind, words = [], optional, hint: hinted, value } = of;
  const id = `${form}-${name}`;
  const label = of.label ?? `field_${name}`;
  const hint = make("p", { id: `${id}-hint`, className: "hint" });
  if (hinted) hint.dataset.t = hint.dataset.first = hinted;
  hint.textContent = hinted ? t(hinted) : "";
  if (kind === "tick") {
    const field = make("input", { id, type: "checkbox", checked: Boolean(value) });
    return { field, hint, read: () => field.checked, parts: [make("label", { className: "tick" }, field, " ", told("span", label)), hint] };
  }
  if (kind === "ticks") {
    const all = words.map(([word, key]) => [word, key, make("input", { type: "checkbox", id: `${id}-${word}`, checked: (value ?? []).includes(word) })]);
    const ticks = all.map(([, key, field]) => make("label", { className: "tick" }, field, " ", told("span", key)));
    const read = () => all.filter(([, , field]) => field.checked).map(([word]) => word);
    return { field: all[0][2], hint, read, parts: [make("fieldset", { className: "ticks" }, told("legend", label), ticks), hint] };
  }
  const field = make(fieldOf[kind] ?? "input", { id, autocomplete: "off", spellcheck: false });
  if (kind === "select") field.append(...words.map(([word, key]) => told("option", key, { value: word })));
  if (kind === "time") Object.assign(field, { type: "datetime-local", step: 1 });
  else if (kind !== "select" && kind !== "text") Object.assign(field, { className: "code", autocapitalize: "none", translate: false });
  if (kind === "area") field.rows = 5;
  if (value !== undefined) field.value = value;
  field.setAttribute("aria-describedby", hint.id);
  const heading = make("label", { htmlFor: id }, told("span", label), optional ? " " : "", optional ? told("i", "optional") : "");
  // A time is the browser's: the service takes instants.
  const instant = () => (field.value ? new Date(field.value).toISOString() : "");
  return { field, hint, read: kind === "time" ? instant : () => field.value.trim(), parts: [heading, field, hint] };
}

/** A button whose act may be refused: why is said beside it. */
export const act = acts(reasonOf);

/** The same for what cannot be undone: the first press says so. */
export function grave(key, warning, doing) {
  const place = make("div", { className: "grave" });
  const calm = () => {
    const first = told("button", key, { type: "button", className: "strong" });
    first.onclick = () => {
      place.replaceChildren(told("p", warning, { className: "warning" }), make("div", { className: "actions" }, act(key, doing, "strong"), later));
      later.focus();
    };
    place.replaceChildren(first);
  };
  const later = told("button", "leave_it", { type: "button" });
  later.onclick = () => {
    calm();
    place.firstElementChild.focus();
  };
  calm();
  return place;
}

/**
 * A table. `columns`: [key, cell(row), className]; the first names its row. Roles are said, because a row that is shown as a block is none
 * any more for a screen reader.
 */
export function table(name, columns, rows) {
  const head = make("tr", {}, columns.map(([key, , className = ""]) => role("columnheader", told("th", key, { scope: "col", className }))));
  const body = rows.map((row) =>
    role("row", make("tr", {}, columns.map(([key, cell, className = ""], at) => {
      const made = make(at === 0 ? "th" : "td", { className }, cell(row) ?? "–");
      made.dataset.label = t(key);
      return role(at === 0 ? "rowheader" : "cell", made);
    }))));
  const made = role("table", make("table", { className: "admin" }, role("rowgroup", make("thead", {}, role("row", head))), role("rowgroup", make("tbody", {}, body))));
  made.setAttribute("aria-label", name);
  return made;
}

function role(name, element) {
  element.setAttribute("role", name);
  return element;
}
