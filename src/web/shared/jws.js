// Published keys and what they sign: compact JWS (RFC 7515, 3.1) with Ed25519, JWK Sets (RFC 7517, 5), thumbprints (RFC 7638).
// Strict: a text that is not exactly of its form is refused. No page, no network.

import { verifies } from "./ed25519.js";

/** What is wrong, in a word of the locale files. */
export class Wrong extends Error {
  constructor(kind) {
    super(kind);
    this.kind = kind;
  }
}

const utf8 = new TextEncoder();

/** The bytes of base64url without padding; null for any other text, also where spare bits are set. */
export function fromBase64url(text) {
  if (typeof text !== "string" || !/^[\w-]*$/.test(text) || text.length % 4 === 1) return null;
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
  return toBase64url(bytes) === text ? bytes : null;
}

export const toBase64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** So many random bytes. */
export const random = (bytes) => toBase64url(crypto.getRandomValues(new Uint8Array(bytes)));

export const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The parts, one after the other: strings as UTF-8. */
export function joined(...parts) {
  const arrays = parts.map((part) => (typeof part === "string" ? utf8.encode(part) : part));
  const whole = new Uint8Array(arrays.reduce((length, array) => length + array.length, 0));
  arrays.reduce((at, array) => (whole.set(array, at), at + array.length), 0);
  return whole;
}

export const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));

/** The object in a base64url text of JSON, or null. */
export function objectOf(text) {
  try {
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(fromBase64url(text)));
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** The Ed25519 keys of a JWK Set: {kid, bytes, fingerprint}. The id and the fingerprint are computed, never believed. */
export async function readKeys(text) {
  let set;
  try {
    set = JSON.parse(text);
  } catch {
    throw new Wrong("keys_unreadable");
  }
  if (!Array.isArray(set?.keys)) throw new Wrong("keys_unreadable");
  const keys = [];
  for (const { kty, crv, x } of set.keys) {
    const bytes = kty === "OKP" && crv === "Ed25519" ? fromBase64url(x) : null;
    if (bytes?.length !== 32) continue;
    const thumbprint = await sha256(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`);
    keys.push({ kid: toBase64url(thumbprint.slice(0, 12)), bytes, fingerprint: hexOf(thumbprint) });
  }
  if (keys.length === 0) throw new Wrong("keys_none");
  return keys;
}

/** What a compact JWS of this `typ` says, and the key that signed it; throws a Wrong. */
export async function readJws(text, typ, keys) {
  const [header, payload, signature, more] = text.split(".");
  const head = objectOf(header ?? "");
  const bytes = fromBase64url(signature ?? "");
  const says = objectOf(payload ?? "");
  if (more !== undefined || !head || !bytes || !says) throw new Wrong("malformed");
  // A member more could change what the signature means (RFC 7515, 4.1.11).
  if (head.typ !== typ || head.alg !== "EdDSA" || Object.keys(head).length !== 3) throw new Wrong("other_kind");
  const key = keys.find(({ kid }) => kid === head.kid);
  if (!key) throw new Wrong("unknown_key");
  if (!(await verifies(key.bytes, bytes, joined(`${header}.${payload}`)))) throw new Wrong("signature_wrong");
  return { says, key };
}
