// What a card reader sends, or a clerk pastes from another program: number, dates and name in one line, in any order. The number is taken
// out of it, and the start of validity where it surely is one; everything else, the name above all, is forgotten. Pure.

import { parseCardDate, plain } from "./card_date.js";
import { isDate, parse, tidied, todayInChina } from "./id_number.js";

const numbers = /(?<![\dA-Za-z])(\d{6})[ -]?(\d{8})[ -]?(\d{3}[\dXx])(?![\dA-Za-z])/g;
const dates = /(?<!\d)(?:(\d{4})[-./年](\d{1,2})[-./月](\d{1,2})日?|(\d{4})(\d{2})(\d{2}))(?!\d)/g;
/** For how many years cards are valid that are not for a long term (Law on Resident Identity Cards, article 5). */
const years = [5, 10, 20];
/** Who is so old has a card for a long term. */
const longTermAge = 46;
const longTerm = /^[\s.;:|"'/-]*(?:长期|長期|永久)(?:有效)?(?![\p{L}\d])/u;
const nothing = /^[\s.;:|"'/-]*$/;
// A date alone may be an arrival or a journey: those are recent, and few cards are.
const aloneDaysMin = 365;

const dateOf = ([, ...parts]) => {
  const [year, month, day] = parts[0] ? parts : parts.slice(3);
  return year + month.padStart(2, "0") + day.padStart(2, "0");
};

/** Whether a card that starts on one day ends on the other. What starts on 29 February ends a day before or after where there is none. */
function endsOn(start, end) {
  const [year, day] = [end.slice(0, 4), end.slice(4)];
  const isSame = isDate(year + start.slice(4)) ? day === start.slice(4) : /0228|0301/.test(day);
  return isSame && years.includes(year - start.slice(0, 4));
}

const dayOf = (digits) => Date.UTC(digits.slice(0, 4), digits.slice(4, 6) - 1, digits.slice(6)) / (24 * 3600_000);
const isOld = (digits, today) => dayOf(today) - dayOf(digits) > aloneDaysMin;

/**
 * The start of validity in what a line has beside the number, if there is one. A wrong one would make a stolen card look like the newer one, and
 * none costs a question: so it counts together with its end alone, or with nothing beside it.
 */
function startIn(rest, birth, today) {
  const found = [...rest.matchAll(dates)].map((match) => ({ digits: dateOf(match), after: rest.slice(match.index + match[0].length) }));
  const others = found.filter(({ digits }) => isDate(digits) && digits !== birth);
  const isStart = ({ digits }) => parseCardDate(digits, today).date;
  const isLong = ({ digits, after }) =>
    longTerm.test(after) && Number(digits) - Number(birth) >= longTermAge * 10_000 && (after.startsWith("-") || isOld(digits, today));
  const paired = others.filter((one, at) => isLong(one) || (others[at + 1] && endsOn(one.digits, others[at + 1].digits)));
  const isAlone = found.length === 1 && nothing.test(rest.replace(dates, ""));
  const sure = paired.length > 0 ? paired : others.filter(({ digits }) => isAlone && isOld(digits, today));
  const starts = new Set(sure.map(isStart));
  return starts.size === 1 ? [...starts][0] : undefined;
}

/** Whether a text is more than a number: then it is a line. A number and a date alone are one too. */
export const isLine = (text) => {
  const short = tidied(text);
  return !/^[\dXx]*$/.test(short) || (short.length > 18 && plain(text).search(numbers) >= 0);
};

/** {number, date} of a line, date where it surely is the start; {error} where it has no number. */
export function readLine(text, today = todayInChina()) {
  if (!isLine(text)) return parse(tidied(text), today);
  const line = plain(text);
  const found = [...line.matchAll(numbers)].map((match) => ({ match, ...parse(match.slice(1).join(""), today) }));
  const good = found.find(({ number }) => number);
  if (!good) return { error: found[0]?.error ?? "line_without_number" };
  const { number, match } = good;
  const rest = `${line.slice(0, match.index)} ${line.slice(match.index + match[0].length)}`;
  const date = startIn(rest, number.slice(6, 14), today);
  return date ? { number, date } : { number };
}

/** The lines of a text that say something, each as `readLine` has it, with its place. */
export function readLines(text, today = todayInChina()) {
  const lines = text.split(/\r\n|\r|\n/).map((line, at) => ({ at: at + 1, line }));
  return lines.filter(({ line }) => line.trim() !== "").map(({ at, line }) => ({ at, ...readLine(line, today) }));
}
