// Identity numbers by GB 11643-1999, by the rules and in the error words of src/domain/id_number.rs: `parse` trims and
// repairs nothing but a lower-case x; what pages forgive before is `tidied`. Pure: no page, no network.

const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const provinces = /^(1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])/;
const fullWidth = /[\u3000\uff01-\uff60\uffe0-\uffe6]/;

/** The check character of 17 digits (ISO 7064 MOD 11-2). */
export function checkCharacter(first17) {
  const sum = weights.reduce((total, weight, at) => total + weight * Number(first17[at]), 0);
  return "10X98765432"[sum % 11];
}

/** Whether eight digits are a day of the calendar. */
export function isDate(digits) {
  const [year, month, day] = [digits.slice(0, 4), digits.slice(4, 6), digits.slice(6, 8)].map(Number);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

/** The day in China as YYYYMMDD. China has kept UTC+8 without summer time since 1992. */
export function todayInChina(nowMs = Date.now()) {
  return new Date(nowMs + 8 * 3600_000).toISOString().slice(0, 10).replaceAll("-", "");
}

/**
 * A number as people type and paste it, without what they mean nothing by: blanks, hyphens and dots between digits, full-width forms.
 * Only pages forgive; the service takes the number as the card has it.
 */
export function tidied(text) {
  return text.normalize("NFKC").replace(/[\s\u00ad\u200b-\u200f\u2010-\u2015\u2212\ufeff_.\u00b7-]/g, "");
}

/** {number} in canonical form, or {error} in a word. */
export function parse(text, today = todayInChina()) {
  if (text === "") return { error: "empty" };
  if (new TextEncoder().encode(text).length > 128) return { error: "wrong_length" };
  if (/[^\0-\x7f]/.test(text)) return { error: fullWidth.test(text) ? "full_width" : "not_ascii" };
  if (text.length !== 18) return { error: /^\d{15}$/.test(text) ? "fifteen_digits" : "wrong_length" };
  const number = text.toUpperCase();
  const error = /^\d{17}[\dX]$/.test(number) ? wrongPart(number, today) : "wrong_character";
  if (error) return { error };
  return checkCharacter(number) === number[17] ? { number } : { error: "wrong_check_character" };
}

/** What can be said while the number is being typed: {error}, {missing: how many characters}, or {complete}. */
export function progress(text, today = todayInChina()) {
  if (text.length >= 18 || /[^\0-\x7f]/.test(text)) {
    const { error } = parse(text, today);
    return error ? { error } : { complete: true };
  }
  const error = /^\d*$/.test(text) ? wrongPart(text, today) : "wrong_character";
  if (!error) return { missing: 18 - text.length };
  // A number of the old form has its date elsewhere, so that its fifteenth digit looks wrong.
  return { error: text.length === 15 && error !== "wrong_character" ? "fifteen_digits" : error };
}

// Province and birth date, as far as they are there. Numbers of foreign permanent residents begin with 9 and are not judged.
function wrongPart(number, today) {
  if (number[0] === "9") return null;
  if (number.length >= 2 && !provinces.test(number)) return "unknown_province";
  if (number.length < 14) return null;
  const birth = number.slice(6, 14);
  if (!isDate(birth)) return "impossible_birth_date";
  if (birth < "1850") return "birth_before_1850";
  return birth > today ? "future_birth_date" : null;
}

/** What the wire carries instead of the number: 64 hexadecimal characters. */
export async function digestOf(number) {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`lostcard:v1:${number}`));
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
