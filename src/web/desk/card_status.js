// A card status that the guest shows (docs/RECEIPTS.md): a signed text and its salt, joined by `~`. All of it is verified here, by the
// published keys that this page fetched at the sign-in; nobody is asked, so nobody learns that the guest was here.

import { icon, make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";
import { Wrong, fromBase64url, readJws, sha256, toBase64url } from "../web/jws.js";

const verdicts = ["not_listed", "card_listed", "other_card_listed", "number_listed"];
const clocksDifferS = 120;
const lifetimeSMax = 900;

/** Whether a text is one of these and no certificate. */
export const isStatus = (text) => text.includes("~");

/**
 * What it says of the number behind a digest: {status} where something is wrong, else {verdict, start, as_of, exp}. `issuer`: what the
 * service calls itself; without it nothing can be told.
 */
export async function judgeStatus(text, digest, keys, issuer, nowS) {
  if (!issuer) return { status: "unverified" };
  const [signed, salt, more] = text.split("~");
  let says;
  try {
    ({ says } = await readJws(signed, "lostcard-status+jwt", keys));
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { status: error.kind === "unknown_key" ? "unverified" : "not_authentic" };
  }
  const bytes = fromBase64url(salt ?? "");
  if (more !== undefined || bytes?.length !== 32 || !verdicts.includes(says.verdict)) return { status: "not_authentic" };
  // No service gives out a longer one; one of another service, or of its sandbox, says nothing here.
  if (says.iss !== issuer || !(says.exp - says.iat <= lifetimeSMax)) return { status: "not_authentic" };
  const number = Uint8Array.from(digest.match(/../g), (pair) => parseInt(pair, 16));
  const start = String(says.start);
  const opened = await sha256("lostcard:receipt:v1:", bytes, number, start.replaceAll("-", ""));
  if (toBase64url(opened) !== says.cm) return { status: "another_person" };
  if (!(nowS < says.exp)) return { status: "expired" };
  if (!(nowS >= says.iat - clocksDifferS)) return { status: "not_yet_valid" };
  return { verdict: says.verdict, start, as_of: says.as_of, exp: says.exp };
}

/** What is shown of it. */
export function statusAnswer(found, tail) {
  const { status, verdict } = found;
  const look = verdict ?? (status === "unverified" ? "failure" : "card_listed");
  const words = verdict ? [t(`${verdict}_title`), t("status_compare")] : [t(`status_${status}_title`), t(`status_${status}_lead`)];
  const title = make("h3", { id: "certificate-title", tabIndex: -1 }, words[0]);
  const last = make("p", { className: "tail" }, t("tail"), " ", make("b", { className: "code" }, tail));
  const head = make("div", { className: `verdict ${look}` }, icon(look), make("div", {}, title, make("p", {}, words[1]), last));
  if (!verdict) return [head];
  const pairs = [
    ["status_start", found.start.replaceAll("-", ".")],
    ["status_as_of", localTime(found.as_of)],
    ["certificate_until", localTime(new Date(found.exp * 1000).toISOString())],
  ];
  const terms = pairs.map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value)));
  return [head, make("p", { className: "hint" }, t("status_seen_here")), make("dl", { className: "facts" }, terms)];
}
