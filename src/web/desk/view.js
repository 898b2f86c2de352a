// What an answer looks like: colour, shape and words. Builds elements, keeps no state, sends nothing.

import { icon, make } from "../web/elements.js";
import { localTime, t, zonedTime } from "../web/i18n.js";
import { drawQr } from "../web/qr.js";
import { at } from "../web/session.js";
import { whoOf } from "./receipt.js";

/** The five looks, each by the key of its title. `any_card` and `superseded` look like their verdict. */
export function wordsOf(check) {
  if (check.refusal) return { look: "failure", title: "failure_title", lead: check.refusal.kind, base: "failure" };
  const { verdict, listing } = check.answer;
  const words = { look: verdict, title: `${verdict}_title`, lead: `${verdict}_lead`, base: verdict };
  if (verdict === "card_listed" && listing?.kind === "superseded") {
    return { ...words, title: "superseded_title", lead: "superseded_lead", base: "superseded" };
  }
  if (verdict === "number_listed" && check.validFrom) return { ...words, lead: "any_card_lead", doing: "any_card_do" };
  return words;
}

/** A date as the card prints it. */
export const printed = (date) => date?.replaceAll("-", ".");

/** The head of an answer: shape, words, one sentence. */
export function head(check) {
  const { look, title, lead } = wordsOf(check);
  const heading = make("h3", { id: "answer-title", tabIndex: -1 }, t(title));
  const tail = check.tail ? make("p", { className: "tail" }, t("tail"), " ", make("b", { className: "code" }, check.tail)) : null;
  const text = make("div", {}, heading, make("p", {}, t(lead, { date: printed(check.validFrom) })), tail);
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
    answer.check_id ? ["check_id", answer.check_id] : null,
  ];
  const terms = pairs.filter(Boolean).map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value)));
  return make("dl", { className: "facts" }, terms);
}

/**
 * The receipt as it is printed: for people first, one page of A6 or A4. Two codes: the receipt, which tells nobody whom it is about,
 * and its salt, which does together with it.
 */
export function slip(check) {
  const { answer, tail, validFrom, reference } = check;
  const { house, site, clerk } = whoOf();
  const pairs = [
    ["house", house],
    ["site", site],
    ["clerk", clerk],
    ["time", zonedTime(answer.as_of)],
    ["tail", tail],
    ["card_from", printed(validFrom) ?? t("not_given")],
    ["reference", reference],
    ["check_id", answer.check_id],
  ];
  const terms = pairs.filter(([, value]) => value).map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value)));
  const code = (name, text) => {
    const figure = make("figure", { className: name }, make("figcaption", {}, t(`code_${name}`)));
    drawQr(text, t(`code_${name}`)).then((svg) => figure.prepend(svg), () => {});
    return figure;
  };
  const line = (name) => make("p", { className: "long" }, make("b", {}, `${name}: `), answer[name]);
  return [
    make("h2", {}, t("receipt_title")),
    make("p", { className: "slip-verdict" }, `${t(wordsOf(check).title)} (${answer.verdict})`),
    make("dl", { className: "slip-facts" }, terms),
    make("div", { className: "codes" }, code("receipt", answer.receipt), code("salt", answer.receipt_salt)),
    line("receipt_salt"),
    ...["receipt_number", "receipt_means"].map((key) => make("p", {}, t(key))),
    make("p", {}, t("receipt_where", { where: at("/verify") })),
  ];
}

/** How many of a group have each look, the worst first; then one row a guest. `open` gives a row's button. */
export function groupTable(checks, current, open) {
  const order = ["card_listed", "failure", "number_listed", "other_card_listed", "not_listed"];
  const count = (look) => checks.filter((check) => wordsOf(check).look === look).length;
  const chip = (look) => make("li", { className: look }, icon(look), `${t(`short_${look}`)} ${count(look)}`);
  const summary = make("ul", { className: "counts" }, order.filter(count).map(chip));
  const row = (check, at) => {
    const { look, title } = wordsOf(check);
    // With which start it was asked: one that was read wrongly would make an old card of this one.
    const start = check.validFrom ? t("row_from", { date: printed(check.validFrom) }) : "";
    const small = make("small", {}, [check.tail, start, check.reference].filter(Boolean).join(" · "));
    const told = make("div", {}, make("span", {}, t(title)), small);
    const item = make("li", { className: `word ${look}` }, make("b", {}, String(at + 1)), icon(look), told, open(check));
    if (check === current) item.setAttribute("aria-current", "true");
    return item;
  };
  return [summary, make("ol", { className: "guests" }, checks.map(row))];
}

/** Today's checks, the latest first. `more` gives a row's button. */
export function table(rows, more) {
  if (rows.length === 0) return make("p", { className: "hint" }, t("today_empty"));
  const titles = ["today_time", "today_answer"].map((key) => make("th", { scope: "col" }, t(key)));
  const body = rows.map((row) => {
    const { look, title } = wordsOf(row);
    const notes = [row.tail, row.reference, row.answer?.isPrivate ? t("private_mark") : "", row.reported ? t("reported_mark") : ""].filter(Boolean).join(" · ");
    const told = make("div", {}, make("span", {}, t(title)), notes ? make("small", {}, notes) : null);
    const at = new Date(row.atMs);
    const time = make("time", { dateTime: at.toISOString() }, localTime(at, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }));
    const answer = make("div", { className: `word ${look}` }, icon(look), told, more(row));
    return make("tr", {}, make("td", {}, time), make("td", {}, answer));
  });
  return make("table", {}, make("thead", {}, make("tr", {}, titles)), make("tbody", {}, body));
}
