// A temporary identification certificate at the desk (docs/CERTIFICATES.md), or a card status in the same field: from the camera, a photo or typed text. What this page can
// see itself it says at once, by the published keys that it fetched at the sign-in; then the service is asked, which alone knows of a
// revocation. Neither text nor number outlives the window.

import { isStatus, judgeStatus, statusAnswer } from "./card_status.js";
import { answered, lost } from "./link.js";
import { settings } from "./settings.js";
import { desk } from "./state.js";
import { byId, icon, make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";
import { digestOf } from "../web/id_number.js";
import { Wrong, fromBase64url, joined, readJws, readKeys, toBase64url } from "../web/jws.js";
import { readLine } from "../web/reading.js";
import { ask as askService, at, Refusal } from "../web/session.js";

const textMax = 4096;
const iterations = 600_000;
const servedBy = { lodging: ["lodging"], transport: ["air", "rail"] };
const statuses = ["valid", "another_person", "revoked", "expired", "not_yet_valid", "another_purpose"];
let asking = 0;
let camera = null;

/** Fetches what is needed where there is no network later: the published keys, and what reads a code. */
export async function prepare() {
  try {
    const response = await fetch(at("/.well-known/jwks.json"), { credentials: "omit" });
    if (response.ok) desk.keys = await readKeys(await response.text());
    const { response: said, body } = await askService("GET", "/.well-known/oauth-authorization-server");
    if (said.ok && typeof body.issuer === "string") desk.issuer = body.issuer;
    await import("../web/qr.js");
    await import("../web/qr-decode.min.js");
  } catch {
    // Without keys only the service can say.
  }
}

/** What the certificate itself shows: its status without a revocation, or `not_authentic`, or `unknown_key`. */
async function judge(text, digest, nowS) {
  let says;
  try {
    ({ says } = await readJws(text, "lostcard-certificate+jwt", desk.keys));
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { status: error.kind === "unknown_key" ? "unknown_key" : "not_authentic" };
  }
  const salt = fromBase64url(says.salt);
  const password = Uint8Array.from(digest.match(/../g), (pair) => parseInt(pair, 16));
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  const kind = { name: "PBKDF2", hash: "SHA-256", salt: joined("lostcard:certificate:v1:", salt ?? new Uint8Array(0)), iterations };
  const bits = new Uint8Array(await crypto.subtle.deriveBits(kind, key, 256));
  const first = [
    [toBase64url(bits) !== says.cm, "another_person"],
    [!(nowS < says.exp), "expired"],
    [!(nowS >= says.nbf), "not_yet_valid"],
    [!(servedBy[settings().purpose] ?? []).includes(says.purpose), "another_purpose"],
  ].find(([is]) => is);
  const instant = (seconds) => new Date(seconds * 1000).toISOString();
  return { status: first?.[1] ?? "valid", purpose: says.purpose, office: says.office, expires_at: instant(says.exp) };
}

/** What the service says; throws a Refusal. */
async function ask(certificate, digest) {
  const body = { certificate, id_digest: digest, purpose: settings().purpose };
  try {
    const told = await desk.session.post("/v1/temporary-certificates/verify", body);
    answered();
    if (told.authentic === false) return { status: "not_authentic" };
    if (told.authentic !== true || !statuses.includes(told.status)) throw new Refusal("unreadable");
    return told;
  } catch (error) {
    if (error.kind === "network" || error.kind === "timeout") lost();
    throw error;
  }
}

async function verify(event) {
  event.preventDefault();
  const text = byId("certificate-text").value.replace(/\s/g, "");
  const { number, error } = byId("certificate-number").value.trim() ? readLine(byId("certificate-number").value) : { error: "empty" };
  const wrong = text === "" ? "certificate_needed" : text.length > textMax ? "certificate_not_authentic_lead" : (error ?? "");
  byId("certificate-message").textContent = wrong ? t(wrong) : "";
  byId("certificate-answer").replaceChildren();
  if (wrong) return byId(text === "" ? "certificate-text" : "certificate-number").focus();
  const turn = ++asking;
  const tail = number.slice(-4);
  const digest = await digestOf(number);
  byId("certificate-text").value = byId("certificate-number").value = "";
  say("certificate_asking");
  if (isStatus(text)) {
    const found = await judgeStatus(text, digest, desk.keys, desk.issuer, Date.now() / 1000);
    if (turn !== asking) return;
    say("");
    byId("certificate-answer").replaceChildren(...statusAnswer(found, tail));
    return byId("certificate-title").focus();
  }
  const own = await judge(text, digest, Date.now() / 1000);
  if (turn !== asking) return;
  // What can be seen to be wrong needs no service, and what is right still does: a revocation shows there alone.
  if (!["valid", "unknown_key"].includes(own.status)) show(own.status, own, tail, "certificate_seen_here");
  else if (own.status === "valid") say("certificate_asking_revoked");
  try {
    const told = await ask(text, digest);
    if (turn === asking) show(told.status, told, tail, "certificate_seen_there");
  } catch (refusal) {
    if (turn !== asking) return;
    if (own.status === "valid") show("offline", own, tail, refusal.kind);
    else if (own.status === "unknown_key") show("unverified", own, tail, refusal.kind);
  }
}

const looks = { valid: "not_listed", offline: "number_listed", unverified: "failure" };

function show(status, told, tail, note) {
  say("");
  const look = looks[status] ?? "card_listed";
  const sign = { valid: "valid", offline: "number_listed", unverified: "failure" }[status] ?? "card_listed";
  const title = make("h3", { id: "certificate-title", tabIndex: -1 }, t(`certificate_${status}_title`));
  const last = make("p", { className: "tail" }, t("tail"), " ", make("b", { className: "code" }, tail));
  const head = make("div", { className: `verdict ${look}` }, icon(sign), make("div", {}, title, make("p", {}, t(`certificate_${status}_lead`)), last));
  const pairs = [
    ["certificate_purpose", told.purpose ? t(`certificate_for_${told.purpose}`) : ""],
    ["certificate_office", told.office],
    ["certificate_until", told.expires_at ? localTime(told.expires_at) : ""],
  ];
  const terms = pairs.filter(([, value]) => value).map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value)));
  byId("certificate-answer").replaceChildren(head, make("p", { className: "hint" }, t(note)), make("dl", { className: "facts" }, terms));
  title.focus();
}

function say(key) {
  byId("certificate-status").textContent = key ? t(key) : "";
}

async function take(text) {
  if (!text) {
    byId("certificate-message").textContent = t("picture_unreadable");
    return;
  }
  byId("certificate-message").textContent = "";
  byId("certificate-text").value = text;
  byId("certificate-number").focus();
}

async function openCamera() {
  closeCamera();
  const mine = (camera = new AbortController());
  const video = byId("certificate-video");
  byId("certificate-message").textContent = "";
  video.hidden = false;
  try {
    const { scan } = await import("../web/camera.js");
    const text = await scan(video, mine.signal);
    if (text) take(text);
  } catch {
    if (!mine.signal.aborted) byId("certificate-message").textContent = t("camera_missing");
  } finally {
    if (camera === mine) closeCamera();
  }
}

function closeCamera() {
  camera?.abort();
  camera = null;
  byId("certificate-video").hidden = true;
}

async function openPhoto(event) {
  const [photo] = event.target.files;
  if (!photo) return;
  let text = null;
  try {
    text = await (await import("../web/qr.js")).readQr(photo);
  } catch {
    // Not a picture that this browser reads.
  }
  event.target.value = "";
  take(text);
}

/** Forgets what was entered and found. */
function clear() {
  asking++;
  closeCamera();
  byId("certificate-form").reset();
  say("");
  byId("certificate-message").textContent = "";
  byId("certificate-answer").replaceChildren();
}

export function closeCertificate() {
  clear();
  if (byId("certificate").open) byId("certificate").close();
}

export function openCertificate() {
  clear();
  byId("certificate-form").onsubmit = verify;
  byId("certificate-camera").onclick = openCamera;
  byId("certificate-photo").onclick = () => byId("certificate-file").click();
  byId("certificate-file").onchange = openPhoto;
  byId("certificate-close").onclick = closeCertificate;
  byId("certificate").onclose = clear;
  byId("certificate").showModal();
  byId("certificate-text").focus();
}
