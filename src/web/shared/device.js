// The device that this page is: its key, which the browser lets nobody take out, and what unlocks it. Kept in the browser's own store, one
// device a page. The PIN is kept nowhere: what is derived from it is a key that cannot be read either, as long as somebody is at work.

import { deviceProof, publicJwk } from "./proof.js";
import { Refusal, ask } from "./session.js";
import { toBase64url } from "./jws.js";

const rounds = 600_000;
/** After so long a rest the device is locked. */
export const restMs = 900_000;
const mark = "lostcard-session";

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("lostcard", 1);
    request.onupgradeneeded = () => ["devices", "sessions"].forEach((name) => request.result.createObjectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Refusal("no_store"));
  });
}

/** One step of the browser's store. */
async function inStore(name, step) {
  const database = await opened();
  try {
    const work = database.transaction(name, "readwrite", { durability: "strict" });
    const request = step(work.objectStore(name));
    return await new Promise((resolve, reject) => {
      work.oncomplete = () => resolve(request.result);
      work.onerror = work.onabort = () => reject(new Refusal("no_store"));
    });
  } catch (error) {
    // Some browsers refuse to keep a key as soon as they are asked (DataCloneError).
    throw error instanceof Refusal ? error : new Refusal("no_store");
  } finally {
    database.close();
  }
}

/** The device of a page (`desk`, `station`), or null. */
export async function deviceOf(page) {
  return (await inStore("devices", (store) => store.get(page))) ?? null;
}

export const keep = (page, device) => inStore("devices", (store) => store.put(device, page));

/** Keeps a key for a moment: a code is spent only where the browser keeps what it is spent for. */
async function tryToKeep(page, keys) {
  await keep(`${page}-next`, { pair: keys });
  await inStore("devices", (store) => store.delete(`${page}-next`));
  // A browser that is short of room may drop what it was not asked to keep. It may ask the user: nothing waits for that.
  navigator.storage?.persist?.().catch(() => {});
}

async function pinBits(pin, salt) {
  const typed = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds }, typed, 256));
}

const hmacKey = (bits) => crypto.subtle.importKey("raw", bits, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

/** What the service calls itself, and how far this clock is from its own. */
async function service() {
  const { response, body } = await ask("GET", "/.well-known/oauth-authorization-server");
  if (!response.ok || typeof body.issuer !== "string" || typeof body.token_endpoint !== "string") throw new Refusal("unreadable");
  const apart = Date.parse(response.headers.get("Date") ?? "") - Date.now();
  return { issuer: body.issuer, url: body.token_endpoint.replace(/\/oauth2\/token$/, ""), skewMs: Math.abs(apart) > 2000 ? apart : 0 };
}

/** Makes this page the device of a code; the proof for who registers it. */
export async function pair(page, code, clerk, pin) {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  await tryToKeep(page, keys);
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const bits = await pinBits(pin, salt);
  const body = JSON.stringify({ code, key: await publicJwk(keys), pin_key: toBase64url(bits) });
  const { response, body: told } = await ask("POST", "/v1/pairings/registration", body, { "Content-Type": "application/json" });
  if (response.status === 403) throw new Refusal("pairing_refused");
  if (response.status === 429) throw new Refusal("limited");
  if (!response.ok || typeof told.client_id !== "string") throw new Refusal(response.ok ? "unreadable" : "unavailable");
  const device = { pair: keys, clientId: told.client_id, salt, clerk, site: told.site, name: told.name ?? "", misses: 0, retryAtMs: 0 };
  await keep(page, device);
  return began(device, { pinKey: await hmacKey(bits), clerk });
}

/** The proof for who knows the PIN, or says so: the service judges it. */
export async function unlock(device, clerk, pin) {
  return began(device, { pinKey: await hmacKey(await pinBits(pin, device.salt)), clerk });
}

async function began(device, unlocked) {
  return { device, unlocked, proof: deviceProof(device, unlocked, await service()) };
}

/** A PIN was wrong: for some seconds no other is taken, more each time. */
export async function missed(page, device) {
  const misses = device.misses + 1;
  Object.assign(device, { misses, retryAtMs: Date.now() + 1000 * 2 ** misses });
  await keep(page, device);
}

/** It was right: `unlocked` is kept for this tab, so that loading the page again does not lock it. */
export async function worked(page, { device, unlocked }) {
  Object.assign(device, { misses: 0, retryAtMs: 0, clerk: unlocked.clerk });
  await keep(page, device);
  await forgetRested();
  const id = sessionStorage.getItem(mark) ?? crypto.randomUUID();
  sessionStorage.setItem(mark, id);
  await inStore("sessions", (store) => store.put({ ...unlocked, page, clientId: device.clientId, atMs: Date.now() }, id));
}

/** Somebody is at work. */
export async function stirred() {
  const id = sessionStorage.getItem(mark);
  const kept = id ? await inStore("sessions", (store) => store.get(id)) : null;
  if (kept) await inStore("sessions", (store) => store.put({ ...kept, atMs: Date.now() }, id));
}

/** What was unlocked in this tab, if nobody has rested for too long; null otherwise. */
export async function resumed(page, device) {
  await forgetRested();
  const id = sessionStorage.getItem(mark);
  const kept = id ? await inStore("sessions", (store) => store.get(id)) : null;
  // Another tab may have paired the page again: what unlocked the device before it would be a wrong PIN.
  if (!kept || kept.page !== page || kept.clientId !== device.clientId || Date.now() - kept.atMs >= restMs) {
    await lock();
    return null;
  }
  return began(device, { pinKey: kept.pinKey, clerk: kept.clerk });
}

/** What tabs have left that were closed, once it has rested. */
function forgetRested() {
  return inStore("sessions", (store) => {
    const request = store.openCursor();
    request.onsuccess = () => {
      const row = request.result;
      if (!row) return;
      if (Date.now() - row.value.atMs >= restMs) row.delete();
      row.continue();
    };
    return request;
  });
}

/** Nothing unlocks the device any more but its PIN. */
export async function lock() {
  await forgetRested();
  const id = sessionStorage.getItem(mark);
  sessionStorage.removeItem(mark);
  if (id) await inStore("sessions", (store) => store.delete(id));
}

/** Where a page is opened with a code: `#pair=XXXX-XXXX`. It does not stay in the address. */
export function codeOfAddress() {
  const found = /^#pair=([0-9A-Za-z]{4}-?[0-9A-Za-z]{4})$/.exec(location.hash)?.[1] ?? "";
  if (location.hash) history.replaceState(null, "", location.pathname);
  return tidiedCode(found);
}

/** A code as people type it: in either case, with or without its hyphen, O for 0, I and L for 1. */
export function tidiedCode(text) {
  const plain = text.normalize("NFKC").toUpperCase().replace(/[\s\u2010-\u2015-]/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  return /^[0-9A-HJKMNP-TV-Z]{8}$/.test(plain) ? `${plain.slice(0, 4)}-${plain.slice(4)}` : "";
}
