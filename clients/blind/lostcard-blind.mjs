// Blind checks: whether a card is reported, without telling the service whom one asks about (docs/BLIND.md). For browsers and Node 20.
//
//   import { BlindClient } from "./lostcard-blind.mjs";
//   const client = new BlindClient("https://lostcard.example", { token: async () => "..." });
//   await client.check("11010519491231002X", "2016-05-01"); // "not_listed", "card_listed", "other_card_listed", "number_listed"
//   await client.checkWithReceipts([["11010519491231002X", "2016-05-01"]]); // [{ verdict, receipt, receiptSalt }]: keep both with the stay
//
// One file: copy it. Needs @noble/curves 2 and @noble/hashes 2, and nothing else but the platform. As a program of Node:
// `lostcard-blind.mjs URL < lines`, each line a JSON object with `id_number` and perhaps `card_valid_from`; the token is in
// LOSTCARD_TOKEN. It prints a verdict for each line; with LOSTCARD_BLIND_RECEIPTS=1 JSON with the receipt and its salt.

import { ristretto255, ristretto255_hasher, ristretto255_oprf } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { expand_message_xmd } from "@noble/curves/abstract/hash-to-curve.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

const CONTEXT = "OPRFV1-\x01-ristretto255-SHA512";
const { Fn: Scalars } = ristretto255.Point;
const [LISTED, UNKNOWN, SUPERSEDED] = [1, 2, 4];
const GRAVITY = ["not_listed", "other_card_listed", "number_listed", "card_listed"];
const ELEMENTS_MAX = 32;
const BUNDLE = 256;
const ATTEMPTS_MAX = 8;
const WAIT_S_MAX = 60;
const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const DAY_MS = 86_400_000;
const DAY_0 = Date.UTC(1984, 3, 4) / DAY_MS;

/** No verdict: an outage is never an answer. */
export class BlindError extends Error {}
/** No number of a card, or no day: nothing was asked. */
export class Malformed extends BlindError {}
/** The service did not evaluate by the key that it published: tell the operator, and an auditor. */
export class ProofError extends BlindError {}
/** The service refused; `code` says why. */
export class Refused extends BlindError {
  constructor(status, code, retryAfter) {
    super(`${status} ${code}`);
    Object.assign(this, { status, code, retryAfter });
  }
}

const utf8 = (text) => new TextEncoder().encode(text);
const join = (...parts) => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
};
const equal = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);
const uint = (value, bytes) => {
  const data = new DataView(new ArrayBuffer(8));
  data.setBigUint64(0, BigInt(value));
  return new Uint8Array(data.buffer).slice(8 - bytes);
};
const b64 = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const unb64 = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Whether a text is a day that there is: YYYY-MM-DD. */
const isDay = (text) => {
  if (typeof text !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
};

/** Whether a text is a number (GB 11643): a mistyped one is on no list. */
const isNumber = (text) => {
  if (typeof text !== "string" || !/^\d{17}[\dXx]$/.test(text)) return false;
  const sum = WEIGHTS.reduce((total, weight, at) => total + weight * Number(text[at]), 0);
  const born = `${text.slice(6, 10)}-${text.slice(10, 12)}-${text.slice(12, 14)}`;
  return isDay(born) && "10X98765432"[sum % 11] === text[17].toUpperCase();
};

/** Refuses what is no day. An empty start was not read. */
const expectDay = (cardValidFrom) => {
  if (cardValidFrom && !isDay(cardValidFrom)) throw new Malformed("a start of validity is no day of the form YYYY-MM-DD");
};

/** The name of a tile as C2SP tlog-tiles writes it. */
const tileName = (index, width) => {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.{3}/g);
  return groups.map((group, at) => (at + 1 < groups.length ? `x${group}` : group)).join("/") + (width < BUNDLE ? `.p/${width}` : "");
};

/** The entries of a bundle, each behind its length. */
const entriesOf = (bundle) => {
  const entries = [];
  for (let at = 0; at < bundle.length; ) {
    const end = at + 2 + bundle[at] * 256 + bundle[at + 1];
    if (!(end <= bundle.length)) throw new BlindError("a bundle of the log is damaged");
    entries.push(bundle.slice(at + 2, end));
    at = end;
  }
  return entries;
};

/** HashToScalar (RFC 9497, 4.1). */
const hashToScalar = (message) => {
  const uniform = expand_message_xmd(message, utf8(`HashToScalar-${CONTEXT}`), 64, sha512);
  return Scalars.create(uniform.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n));
};

/** A number on its way. The salt opens the blinding, and the receipt's commitment if there is one. */
const blind = (digest, salt, index) => {
  const input = join(utf8("lostcard:blind:v1:"), digest);
  const scalar = hashToScalar(join(utf8("lostcard:blind:r:v1:"), salt, uint(index, 2)));
  const point = ristretto255_hasher.hashToCurve(input, { DST: `HashToGroup-${CONTEXT}` });
  return { input, blind: Scalars.toBytes(scalar), blinded: point.multiply(scalar).toBytes() };
};

const digestOf = (idNumber) => sha256(utf8(`lostcard:v1:${idNumber.toUpperCase()}`));
/** What a receipt commits to. */
const commitment = (salt, digest, cardValidFrom) =>
  sha256(join(utf8("lostcard:receipt:v1:"), salt, digest, utf8((cardValidFrom || "0000-00-00").replaceAll("-", ""))));
const pad = (f, label, at) => hmac(sha256, f.slice(32), join(utf8(label), uint(at, 8)));

/** The verdict of a status on a card that starts on that day, as far as it was read. */
export const decide = ({ threshold, flags }, cardValidFrom) => {
  expectDay(cardValidFrom);
  if (!(flags & LISTED)) return "not_listed";
  if (cardValidFrom && threshold) {
    if (Date.parse(`${cardValidFrom}T00:00:00Z`) / DAY_MS - DAY_0 <= threshold) return "card_listed";
    if (!(flags & UNKNOWN)) return "other_card_listed";
  }
  return "number_listed";
};

/** Bits in a row, from the high end of each byte. */
class Bits {
  constructor(bytes) {
    Object.assign(this, { bytes, at: 0 });
  }

  bit() {
    const byte = this.bytes[this.at >> 3];
    if (byte === undefined) throw new BlindError("a part of the base is damaged");
    return (byte >> (7 - (this.at++ & 7))) & 1;
  }

  take(count) {
    let bits = 0;
    for (let n = 0; n < count; n++) bits = bits * 2 + this.bit();
    return bits;
  }

  ones() {
    let count = 0;
    while (this.bit()) count++;
    return count;
  }
}

/** Every listing of one moment. */
export class Base {
  constructor(data, manifest) {
    if (!equal(data.slice(0, 4), utf8("LCB1")) || !equal(data.slice(5, 8), [28, 16, 18])) {
      throw new BlindError("not a base of this form");
    }
    this.data = data;
    this.partsLog2 = data[4];
    this.sequence = Number(view(data).getBigUint64(8));
    if (!equal(sha256(data.slice(0, 16 + 36 * 2 ** this.partsLog2)), manifest)) {
      throw new BlindError("the base is not the one that the service published");
    }
  }

  /** A part; throws where it is not the one of the index. */
  part(number) {
    const at = 16 + 36 * number;
    const begin = view(this.data).getUint32(at);
    const end = number + 1 === 2 ** this.partsLog2 ? this.data.length : view(this.data).getUint32(at + 36);
    const part = this.data.slice(begin, end);
    if (!equal(sha256(part), this.data.slice(at + 4, at + 36))) throw new BlindError("a part of the base is damaged");
    return part;
  }

  statuses(f) {
    const placement = view(f).getBigUint64(0);
    const number = Number(placement >> BigInt(64 - this.partsLog2));
    const tag = Number(BigInt.asUintN(64, placement << BigInt(this.partsLog2)) >> 36n);
    const bits = new Bits(this.part(number));
    const count = bits.take(16);
    const places = [];
    for (let index = 0, known = 0; index < count; index++) {
      known += bits.ones() * 65_536 + bits.take(16);
      if (known === tag) places.push(index);
    }
    const words = bits.at;
    const mask = view(pad(f, "lostcard:blind:base:v1:", this.sequence)).getUint32(0) >>> 14;
    return places.map((index) => {
      bits.at = words + 18 * index;
      const word = bits.take(18) ^ mask;
      return { threshold: word >> 2, flags: LISTED | (word & 2 ? UNKNOWN : 0) | (word & 1 ? SUPERSEDED : 0) };
    });
  }
}

/** A base that was kept, if all of it is as it was published. */
const wholeBase = (data, bytes, manifest) => {
  if (data?.length !== bytes) return undefined;
  try {
    const base = new Base(data, manifest);
    for (let number = 0; number < 2 ** base.partsLog2; number++) base.part(number);
    return base;
  } catch (error) {
    if (error instanceof BlindError) return undefined;
    throw error;
  }
};

/** Waits for a limit that is spent, as long as the refusal says. False: it is another refusal, or says too long. */
const waited = async (error) => {
  const waitS = Number(error.retryAfter ?? error.waitS);
  if (!error.code?.endsWith("limit_spent") || !(waitS >= 0 && waitS <= WAIT_S_MAX)) return false;
  await new Promise((done) => setTimeout(done, Math.max(1, waitS) * 1000));
  return true;
};

/** Cards with digests in the place of numbers; all are refused where one has none. */
const digestsOf = (cards) =>
  cards.map(([number, cardValidFrom]) => {
    if (!isNumber(number)) throw new Malformed("not an ID number (GB 11643), or its check character is another one");
    return [digestOf(number), cardValidFrom];
  });

/** Checks blindly. `token` returns an access token with scope `blind`; `store` (get, put) keeps bases, if it is given. */
export class BlindClient {
  constructor(url, { token, purpose = "lodging", site, store, timeoutMs = 10_000 }) {
    Object.assign(this, { url: url.replace(/\/+$/, ""), token, purpose, site, store, timeoutMs, base: null });
    this.turn = Promise.resolve();
  }

  /** The verdict on one card. */
  async check(idNumber, cardValidFrom) {
    return (await this.checkAll([[idNumber, cardValidFrom]]))[0];
  }

  /** The verdicts on cards, pairs of number and start of validity. One question at a time: changes come in their order. */
  async checkAll(cards) {
    return this.checkDigests(digestsOf(cards));
  }

  /** The same with a receipt each: { verdict, receipt, receiptSalt }. Receipt, salt and number together show what was asked and when. */
  async checkWithReceipts(cards) {
    return this.inTurn(digestsOf(cards), true);
  }

  /** The verdicts on digests, for who keeps no number: 32 bytes each. */
  async checkDigests(cards) {
    return (await this.inTurn(cards, false)).map(({ verdict }) => verdict);
  }

  inTurn(cards, withReceipts) {
    for (const [digest, cardValidFrom] of cards) {
      if (digest?.length !== 32) throw new Malformed("a digest has 32 bytes");
      expectDay(cardValidFrom);
    }
    const done = this.turn.then(() => this.checkInTurn(cards, withReceipts));
    this.turn = done.catch(() => {});
    return done;
  }

  async checkInTurn(cards, withReceipts) {
    const told = [];
    for (let begin = 0; begin < cards.length; begin += ELEMENTS_MAX) {
      const some = cards.slice(begin, begin + ELEMENTS_MAX);
      const { found, salts, receipts } = await this.evaluate(some, withReceipts);
      const saltOf = (index) => (withReceipts ? b64(salts[index]) : undefined);
      told.push(...found.map((f, index) => ({ verdict: this.verdict(f, some[index][1]), receipt: receipts?.[index], receiptSalt: saltOf(index) })));
    }
    return told;
  }

  /** What is known of an evaluated number: the last change of it, else what the base has. */
  verdict(f, cardValidFrom) {
    const change = this.entries.get(hex(f.slice(8, 24)));
    if (!change) {
      const verdicts = this.base.statuses(f).map((status) => decide(status, cardValidFrom));
      return GRAVITY[Math.max(0, ...verdicts.map((verdict) => GRAVITY.indexOf(verdict)))];
    }
    const mask = pad(f, "lostcard:blind:change:v1:", change.sequence);
    const [high, low, flags] = change.hidden.map((byte, at) => byte ^ mask[at]);
    return decide({ threshold: high * 256 + low, flags }, cardValidFrom);
  }

  /** F of each digest, verified; brings the changes up to date. A salt for each: who is given one opens one receipt, and no other number. */
  async evaluate(cards, withReceipts) {
    let [wasDropped, hasRead] = [false, false];
    for (let attempt = 1; ; attempt++) {
      if (!this.base) await this.takeUp();
      const salts = cards.map(() => crypto.getRandomValues(new Uint8Array(32)));
      const items = cards.map(([digest], index) => blind(digest, salts[index], index));
      const question = { key: this.key, blinded: items.map((item) => b64(item.blinded)), after: this.known, purpose: this.purpose };
      if (this.site !== undefined) question.site = this.site;
      if (withReceipts) question.cm = cards.map(([digest, cardValidFrom], index) => b64(commitment(salts[index], digest, cardValidFrom)));
      try {
        const answer = await (await this.ask("/v1/blind/evaluations", question)).json();
        if (withReceipts && answer.receipts?.length !== items.length) throw new BlindError("receipts are missing");
        return { found: this.take(items, answer), salts, receipts: answer.receipts };
      } catch (error) {
        const isBehind = error.code === "base_too_old";
        // What was read of the log has spent it.
        if (hasRead && attempt < ATTEMPTS_MAX && (await waited(error))) continue;
        if (attempt === ATTEMPTS_MAX || !(isBehind || error.code === "blind_key_unknown")) throw error;
        if (isBehind && (await this.catchUp())) {
          hasRead = true;
          continue;
        }
        // Nothing more is under this key: the newest one has its own base.
        if (wasDropped) throw error;
        wasDropped = true;
        this.base = null;
      }
    }
  }

  take(items, answer) {
    const transcripts = items.map((item, index) => ({ ...item, evaluated: unb64(answer.evaluated[index] ?? "") }));
    let found;
    try {
      if (answer.evaluated.length !== items.length) throw new Error("another number of elements");
      found = ristretto255_oprf.voprf.finalizeBatch(transcripts, this.publicKey, unb64(answer.proof));
    } catch {
      throw new ProofError("the proof does not hold");
    }
    const changes = unb64(answer.changes);
    if (changes.length % 20 || this.known + changes.length / 20 !== answer.registry_sequence) {
      throw new BlindError("changes are missing");
    }
    for (let at = 0; at < changes.length; at += 20) this.learn(changes.slice(at, at + 20));
    this.asOf = answer.as_of;
    return found;
  }

  /** The next entry. */
  learn(entry) {
    this.known += 1;
    if (entry[0] === 1) this.entries.set(hex(entry.slice(1, 17)), { sequence: this.known, hidden: entry.slice(17, 20) });
  }

  /** Reads what the log has of this key behind the last change that is known: an answer tells 4,096 at most. False: it has no more. */
  async catchUp() {
    const path = `/registry-log/${this.key}`;
    const [origin, size] = (await (await this.ask(`${path}/checkpoint`)).text()).split("\n");
    if (!origin.endsWith(path) || !/^\d{1,15}$/.test(size)) throw new BlindError("the checkpoint is none of this log");
    const before = this.known;
    // Of a service that does not say where its log begins, the entries have no sequence.
    while (this.s0 !== undefined && this.known - this.s0 < Number(size)) {
      const bundle = Math.floor((this.known - this.s0) / BUNDLE);
      const width = Math.min(BUNDLE, Number(size) - bundle * BUNDLE);
      const bytes = await (await this.askPatiently(`${path}/tile/entries/${tileName(bundle, width)}`)).arrayBuffer();
      const entries = entriesOf(new Uint8Array(bytes));
      if (entries.length !== width) throw new BlindError("a bundle of the log is damaged");
      entries.slice((this.known - this.s0) % BUNDLE).forEach((entry) => this.learn(entry));
    }
    return this.known > before;
  }

  /** Asks again after a limit: after a busy week the log has more bundles than a client may ask for in a minute. */
  async askPatiently(path) {
    for (;;) {
      try {
        return await this.ask(path);
      } catch (error) {
        if (!(await waited(error))) throw error;
      }
    }
  }

  /** Takes up the newest key and its base: once a week, or when the client was away for long. */
  async takeUp() {
    const { keys } = await (await this.ask("/v1/blind/keys")).json();
    if (keys.length === 0) throw new Refused(503, "blind_behind");
    const [key] = keys;
    const [name, manifest] = [`base-${key.epoch}-${key.manifest}`, unb64(key.manifest)];
    let base = wholeBase(await this.store?.get(name), key.base_bytes, manifest);
    if (!base) {
      const data = new Uint8Array(await (await this.ask(`/v1/blind/bases/${key.epoch}`)).arrayBuffer());
      base = new Base(data, manifest);
      await this.store?.put(name, data);
    }
    if (base.sequence !== key.base_seq) throw new BlindError("the base is of another moment");
    Object.assign(this, { base, key: key.key, s0: key.s0, publicKey: unb64(key.public_key), known: base.sequence, entries: new Map() });
  }

  async ask(path, body) {
    const headers = { Authorization: `Bearer ${await this.token()}` };
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    try {
      const signal = AbortSignal.timeout(this.timeoutMs);
      answer = await fetch(this.url + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
    } catch (error) {
      throw new BlindError(`the service cannot be reached: ${error.message}`);
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, problem.code ?? "unknown", answer.headers.get("Retry-After"));
  }
}

if (typeof process !== "undefined" && process.argv[1] && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
  const { readFileSync } = await import("node:fs");
  const client = new BlindClient(process.argv[2], { token: async () => process.env.LOSTCARD_TOKEN });
  const lines = readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const cards = lines.map((card) => [card.id_number, card.card_valid_from]);
  if (process.env.LOSTCARD_BLIND_RECEIPTS) {
    for (const { verdict, receipt, receiptSalt } of await client.checkWithReceipts(cards)) {
      console.log(JSON.stringify({ verdict, receipt, receipt_salt: receiptSalt }));
    }
  } else {
    for (const verdict of await client.checkAll(cards)) console.log(verdict);
  }
}
