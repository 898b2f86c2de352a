// The buttons of an answer. What they do is in app.js, which puts its functions into `acts`.

import { saveReceipt } from "./receipt.js";
import { parseCardDate } from "../web/card_date.js";
import { button, make } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { isLine, readLine } from "../web/reading.js";
import { tidied } from "../web/id_number.js";

/** {ask, next, report, open, read}: set once by app.js. */
export const acts = {};

export function actionsOf(check) {
  const { answer, digest, tail, validFrom, reference, place } = check;
  const isOpen = answer?.verdict === "number_listed" && !validFrom;
  const save = (className = "") => button("save", () => saveReceipt(check, t), className);
  const keep = answer?.receipt ? [save(), button("print", () => window.print())] : make("p", { className: "hint" }, t(answer?.isPrivate ? "private_no_receipt" : "no_receipt"));
  const isListed = answer?.verdict === "card_listed";
  const report = check.reported ? null : button("report", () => acts.report(check), isListed ? "strong" : "");
  const next = button("next", acts.next, isOpen ? "" : "primary");
  return {
    confirm: isOpen ? confirmForm(check) : null,
    row: make("div", { className: "actions" }, next, report, keep),
    again: button("try_again", () => acts.ask({ digest, tail, validFrom, reference, place }), "primary"),
    next,
    save,
    open: button(isOpen ? "fill_date" : "open", () => acts.open(check), isOpen ? "small primary" : "small"),
  };
}

// The start date alone: the number was cleared, its digest is still at hand. A reader may send the next card here.
function confirmForm({ digest, tail, reference, place }) {
  const input = make("input", {
    id: "confirm", className: "code", inputMode: "decimal", autocomplete: "off", placeholder: "2016.05.01", enterKeyHint: "go",
  });
  const error = make("p", { id: "confirm-hint", className: "hint wrong", role: "alert" });
  input.setAttribute("aria-describedby", "answer-title confirm-hint");
  const form = make("form", { className: "confirm", noValidate: true });
  form.append(make("label", { htmlFor: "confirm" }, t("date")), input, error, make("button", { className: "primary" }, t("check_again")));
  form.onsubmit = (event) => {
    event.preventDefault();
    if (tidied(input.value).length >= 17 && isLine(input.value) ? readLine(input.value).number : tidied(input.value).length === 18) {
      return acts.read(input.value);
    }
    const date = parseCardDate(input.value);
    if (date.date) return acts.ask({ digest, tail, validFrom: date.date, reference, place });
    error.textContent = t(date.error ?? "date_needed");
    input.setAttribute("aria-invalid", "true");
    input.focus();
  };
  return form;
}
