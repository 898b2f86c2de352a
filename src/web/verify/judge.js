// Whether a receipt is what it says (docs/RECEIPTS.md): signature, inclusion, commitment, and the words of the file beside it.
// Pure: no page, no network. Nothing here is kept.

import { digestOf } from "../web/id_number.js";
import { Wrong, fromBase64url, joined, objectOf, readJws, sha256, toBase64url } from "../web/jws.js";

const pathHashesMax = 32;
const firstDay = Date.UTC(1984, 3, 6);
const lastDay = Date.UTC(2099, 11, 31);
const dayMs = 24 * 3600_000;
const aRun = 500; // so many hashes at a time, that the page stays alive

/** The receipt in a file of any form, and what the file says beside it: the receipt alone, the desk's lines, or JSON. */
export function readFile(text) {
  const whole = text.replace(/^\ufeff/, "").trim();
  const names = [
    "receipt", "receipt_salt", "report_receipt", "report_receipt_salt", "organization", "check_id", "verdict", "as_of", "card_valid_from",
    "report_id", "reported_at", "found_card_id",
  ];
  let of = (name) => new RegExp(`^${name}:[ \\t]*(\\S.*)$`, "m").exec(whole)?.[1].trim();
  if (whole.startsWith("{")) {
    try {
      const object = JSON.parse(whole);
      of = (name) => (typeof object[name] === "string" ? object[name] : undefined);
    } catch {
      return {};
    }
  }
  const file = Object.fromEntries(names.map((name) => [name, of(name)]));
  // That of a write, as the service answered it.
  file.receipt ??= file.report_receipt;
  file.receipt_salt ??= file.report_receipt_salt;
  if (!file.receipt && /^[\w-]+\.[\w-]+\.[\w-]+~[\w-]+~[\w-]+$/.test(whole)) file.receipt = whole;
  return file;
}

/** {steps: [{step, state, word}], says, key, size, start}: all that can be said, up to the first thing that is wrong. */
export async function judge({ file, keys, pin, salt, number, date }) {
  const found = { steps: [], says: null, key: null };
  const step = (name, state, word) => found.steps.push({ step: name, state, word });
  try {
    const parts = (file.receipt ?? "").split("~");
    if (parts.length !== 3) throw new Wrong("malformed");
    const [head, claims, path] = parts;
    const { says: tree, key } = await readJws(head, "lostcard-receipt+jwt", keys);
    found.key = key;
    if (pin && pin !== key.fingerprint) throw new Wrong("other_pin");
    step("signature", "ok", pin ? "signature_pinned" : "signature_ok");
    const says = objectOf(claims);
    if (!says || !Number.isSafeInteger(tree.size)) throw new Wrong("malformed");
    const root = await includedRoot(claims, fromBase64url(path), tree.size);
    if (!root || toBase64url(root) !== tree.root || tree.iss !== says.iss) throw new Wrong("inclusion_wrong");
    step("inclusion", "ok", tree.size > 1 ? "inclusion_batch" : "inclusion_ok");
    Object.assign(found, { says, size: tree.size, checkpoint: tree.cp });
    if (!number || !salt) {
      step("commitment", "open", "commitment_open");
    } else {
      // Another start in the file is the file's word, which is told apart: the receipt may still be about this number.
      found.start = (await startOf(says.cm, salt, number, date)) ?? (date && date === file.card_valid_from ? await startOf(says.cm, salt, number) : null);
      step("commitment", found.start === null ? "wrong" : "ok", found.start === null ? "commitment_wrong" : "commitment_ok");
    }
    if (!agrees(file, says, found.start)) step("file", "wrong", "file_wrong");
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    const name = error.kind === "inclusion_wrong" || found.steps.length > 0 ? "inclusion" : "signature";
    step(name, "wrong", error.kind);
  }
  return found;
}

/** Whether the words beside the receipt are the receipt's, as far as it has such: `start` is what opened it, if anything was tried. */
function agrees(file, says, start) {
  const isOf = (name, signed) => !file[name] || file[name] === signed;
  // Of a withdrawal the file says when the report was filed, which its receipt does not.
  const isReported = !file.reported_at || says.act === "withdrawal" || (Boolean(says.act) && Math.floor(Date.parse(file.reported_at) / 1000) === says.iat);
  // A card that was found has a start of its own: the report that it ended may have none.
  const isStart = typeof start !== "string" || Boolean(file.found_card_id) || isOf("card_valid_from", start || "-");
  const isOne = isOf("check_id", says.jti) && isOf("report_id", says.act ? says.jti : undefined);
  return isOne && isOf("verdict", says.verdict) && isOf("as_of", says.as_of) && isReported && isStart;
}

/** The root that the path leads to, by RFC 9162, 2.1.3.2; null where it leads nowhere. */
async function includedRoot(claims, path, size) {
  if (!path || path.length < 4 || path.length % 32 !== 4 || path.length > 4 + 32 * pathHashesMax) return null;
  let index = new DataView(path.buffer, path.byteOffset).getUint32(0);
  if (index >= size) return null;
  let last = size - 1;
  let node = await sha256(Uint8Array.of(0), claims);
  const half = (value) => Math.floor(value / 2);
  for (let at = 4; at < path.length; at += 32) {
    const sibling = path.slice(at, at + 32);
    if (last === 0) return null;
    if (index % 2 === 1 || index === last) {
      node = await sha256(Uint8Array.of(1), sibling, node);
      while (index % 2 === 0 && index !== 0) [index, last] = [half(index), half(last)];
    } else {
      node = await sha256(Uint8Array.of(1), node, sibling);
    }
    [index, last] = [half(index), half(last)];
  }
  return last === 0 ? node : null;
}

/** The start of validity that opens the commitment: "" for none, null where nothing does. Without a date every day is tried. */
async function startOf(cm, salt, number, date) {
  const bytes = fromBase64url(salt);
  if (bytes?.length !== 32) return null;
  const digest = Uint8Array.from((await digestOf(number)).match(/../g), (pair) => parseInt(pair, 16));
  const before = joined("lostcard:receipt:v1:", bytes, digest);
  const opens = async (day) => toBase64url(await sha256(before, day)) === cm;
  if (date) return (await opens(date.replaceAll("-", ""))) ? date : null;
  if (await opens("00000000")) return "";
  for (let from = firstDay; from <= lastDay; from += aRun * dayMs) {
    const days = Array.from({ length: aRun }, (_, at) => new Date(from + at * dayMs).toISOString().slice(0, 10));
    const found = await Promise.all(days.map((day) => opens(day.replaceAll("-", ""))));
    const at = found.indexOf(true);
    if (at >= 0) return days[at];
  }
  return null;
}
