// The start of validity as a clerk types or pastes it from the card: 2016.05.01, 20160501, 2016-5-1, 2016。05。01, in full-width
// digits, with blanks around the dots, or the whole printed range, whose start counts. Pure.

import { isDate, todayInChina } from "./id_number.js";

const firstCards = "19840406";

/** A text with the forms that input methods give to digits, dots and hyphens made plain. */
export function plain(text) {
  const same = text.normalize("NFKC").replace(/[。｡·•‧・、,]/g, ".").replace(/[\u2010-\u2015\u2212〜~至]/g, "-");
  return same.replace(/\s*([-./年月日])\s*/g, "$1").trim();
}

/** {} where nothing is typed, {date} as YYYY-MM-DD, or {error} in a word. */
export function parseCardDate(text, today = todayInChina()) {
  const typed = plain(text);
  if (typed === "") return {};
  const match = /^(\d{4})(\d{2})(\d{2})(?!\d)(?:-\S+)?$/.exec(typed) ?? /^(\d{4})[-./年 ](\d{1,2})[-./月 ](\d{1,2})日?(?:-\S+)?$/.exec(typed);
  if (!match) return { error: "malformed_date" };
  const digits = match[1] + match[2].padStart(2, "0") + match[3].padStart(2, "0");
  if (!isDate(digits)) return { error: "malformed_date" };
  if (digits < firstCards) return { error: "before_first_cards" };
  // The end of validity typed in the place of the start would make a lost card look like a newer one.
  if (digits > today) return { error: "starts_in_future" };
  return { date: `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}` };
}
