// What an answer looks like: colour, shape and words. Builds elements, keeps no state, sends nothing.

import { make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";
import { instructions } from "./receipt.js";

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** The five looks, each by the key of its title. `any_card` and `superseded` look like their verdict. */
export function wordsOf(check) {
  if (check.refusal) return { look: "failure", title: "failure_title", lead: check.refusal.kind, base: "failure" };
  const { verdict, listing } = check.answer;
  const words = { look: verdict, title: `${verdict}_title`, lead: `${verdict}_lead`, base: verdict };
  if (verdict === "card_listed" && listing?.kind === "superseded") {
    return { ...words, title: "superseded_title", lead: "superseded_lead" };
  }
  if (verdict === "number_listed" && check.validFrom) return { ...words, lead: "any_card_lead", doing: "any_card_do" };
  return words;
}

/** A date as the card prints it. */
const printed = (date) => date?.replaceAll("-", ".");

/** The head of an answer: shape, words, one sentence. */
export function head(check) {
  const { look, title, lead } = wordsOf(check);
  const heading = make("h3", { id: "answer-title", tabIndex: -1 }, t(title));
  const text = make("div", {}, heading, make("p", {}, t(lead, { date: printed(check.validFrom) })));
  return make("div", { className: `verdict ${look}` }, icon(look), text);
}

/** What to do and what not. */
export function advice(check) {
  const { base, doing } = wordsOf(check);
  const lines = (key) => t(key, { date: printed(check.validFrom) }).split("\n");
  const list = (title, className, items) =>
    make("div", { className }, make("h4", {}, t(title)), make("ul", {}, items.map((item) => make("li", {}, item))));
  const donts = [...lines(`${base}_dont`), t("never_keep")];
  return make("div", { className: "advice" }, list("do", "do", lines(doing ?? `${base}_do`)), list("dont", "dont", donts));
}

/** What the answer rests on. */
export function facts(check) {
  const { answer, validFrom, reference } = check;
  const pairs = [
    ["checked_at", localTime(answer.as_of)],
    ["card_from", printed(validFrom) ?? t("not_given")],
    answer.listing ? ["listed_since", printed(answer.listing.since)] : null,
    reference ? ["reference", reference] : null,
    ["check_id", answer.check_id],
  ];
  const terms = pairs.filter(Boolean).map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value)));
  return make("dl", { className: "facts" }, terms);
}

/** The receipt as it is printed. */
export function slip(check) {
  const { answer } = check;
  const pre = (name) => make("p", { className: "long" }, make("b", {}, `${name}: `), answer[name]);
  const told = instructions(t).map((line) => make("p", { className: line.startsWith("  ") ? "long" : "" }, line.trim()));
  return [
    make("h2", {}, t("receipt_title")),
    make("p", {}, `${location.origin} · ${t(wordsOf(check).title)} (${answer.verdict})`),
    facts(check),
    pre("receipt"),
    pre("receipt_salt"),
    ...told,
  ];
}

/** Today's checks, the latest first. `more` gives a row's button. */
export function table(rows, more) {
  if (rows.length === 0) return make("p", { className: "hint" }, t("today_empty"));
  const titles = ["today_time", "today_answer"].map((key) => make("th", { scope: "col" }, t(key)));
  const body = rows.map((row) => {
    const { look, title } = wordsOf(row);
    const notes = [row.reference, row.reported ? t("reported_mark") : ""].filter(Boolean).join(" · ");
    const told = make("div", {}, make("span", {}, t(title)), notes ? make("small", {}, notes) : null);
    const time = make("time", { dateTime: row.at }, localTime(row.at, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }));
    const answer = make("div", { className: `word ${look}` }, icon(look), told, more(row));
    return make("tr", {}, make("td", {}, time), make("td", {}, answer));
  });
  return make("table", {}, make("thead", {}, make("tr", {}, titles)), make("tbody", {}, body));
}
