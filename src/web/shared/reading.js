// What a card reader sends, or a clerk pastes from another program: number, dates and name in one line, in any order. The number and
// the start of validity are taken out of it; everything else, the name above all, is forgotten. Pure.

import { parseCardDate, plain } from "./card_date.js";
import { isDate, parse, tidied, todayInChina } from "./id_number.js";

const numbers = /(?<![\dA-Za-z])(\d{6})[ -]?(\d{8})[ -]?(\d{3}[\dXx])(?![\dA-Za-z])/g;
const aDate = String.raw`(?<!\d)(?:(\d{4})[-./年](\d{1,2})[-./月](\d{1,2})日?|(\d{4})(\d{2})(\d{2}))(?!\d)`;
const dates = new RegExp(aDate, "g");
const range = new RegExp(`${aDate}-(?:\\d|长期)`);

const dateOf = ([, ...parts]) => {
  const [year, month, day] = parts[0] ? parts : parts.slice(3);
  return year + month.padStart(2, "0") + day.padStart(2, "0");
};

/** Whether a text is more than a number: then it is a line. A number and a date alone are one too. */
export const isLine = (text) => {
  const short = tidied(text);
  return !/^[\dXx]*$/.test(short) || (short.length > 18 && plain(text).search(numbers) >= 0);
};

/** {number, date} of a line, date where it has one; {error} where it has no number. */
export function readLine(text, today = todayInChina()) {
  if (!isLine(text)) return parse(tidied(text), today);
  const line = plain(text);
  const found = [...line.matchAll(numbers)].map((match) => ({ match, ...parse(match.slice(1).join(""), today) }));
  const good = found.find(({ number }) => number);
  if (!good) return { error: found[0]?.error ?? "line_without_number" };
  const { number, match } = good;
  const rest = `${line.slice(0, match.index)} ${line.slice(match.index + match[0].length)}`;
  const birth = number.slice(6, 14);
  const isStart = (digits) => isDate(digits) && digits !== birth && Boolean(parseCardDate(digits, today).date);
  const printed = range.exec(rest);
  const starts = (printed ? [printed] : [...rest.matchAll(dates)]).map(dateOf).filter(isStart).sort();
  return starts.length > 0 ? { number, date: parseCardDate(starts[0], today).date } : { number };
}

/** The lines of a text that say something, each as `readLine` has it, with its place. */
export function readLines(text, today = todayInChina()) {
  const lines = text.split(/\r\n|\r|\n/).map((line, at) => ({ at: at + 1, line }));
  return lines.filter(({ line }) => line.trim() !== "").map(({ at, line }) => ({ at, ...readLine(line, today) }));
}
