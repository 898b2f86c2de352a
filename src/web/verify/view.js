// What a verification looks like: one sentence, the steps, what the receipt says. Builds elements, keeps no state.

import { icon, make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";

const verdicts = ["not_listed", "card_listed", "other_card_listed", "number_listed"];

/** One word for the whole: `verified`, `authentic` (nobody asked about whom), or `refused`. */
export function outcome({ steps }) {
  if (steps.some(({ state }) => state === "wrong")) return "refused";
  return steps.some(({ state }) => state === "open") ? "authentic" : "verified";
}

/** A fingerprint as people read it to each other. */
export const inGroups = (hex) => hex.match(/.{1,4}/g).join(" ");

/** The whole answer. */
export function answer(found, file) {
  const word = outcome(found);
  const title = make("h3", { id: "answer-title", tabIndex: -1 }, t(`${word}_title`));
  const wrong = found.steps.find(({ state }) => state === "wrong");
  const lead = wrong ? t(wrong.word) : t(`${word}_lead`);
  const head = make("div", { className: `verdict ${word}` }, icon(word), make("div", {}, title, make("p", {}, lead)));
  return [head, make("div", { className: "body" }, steps(found), found.says ? facts(found, file) : keyOnly(found))];
}

function steps({ steps: list }) {
  const tried = ["signature", "inclusion", "commitment", "file"].map((name) => list.find(({ step }) => step === name) ?? { step: name });
  const shown = tried.filter(({ step, state }) => step !== "file" || state);
  const item = ({ step, state = "open", word = "not_reached" }) =>
    make("li", { className: state }, make("b", {}, t(`step_${step}`)), ` ${t(word)}`);
  return make("ol", { className: "steps" }, shown.map(item));
}

function pairs(list) {
  const terms = list.filter(Boolean).map(([key, ...values]) => make("div", {}, make("dt", {}, t(key)), values.map((value) => make("dd", {}, value))));
  return make("dl", { className: "facts" }, terms);
}

function keyOnly({ key }) {
  return key ? pairs([["key", key.kid, inGroups(key.fingerprint)]]) : null;
}

// `iat` counts whole seconds: within its second a check is not before the instant that its answer is of.
function writtenAt({ iat, as_of: asOf }) {
  const [from, of] = [iat * 1000, Date.parse(asOf)];
  return of >= from && of < from + 1000 ? of : from;
}

// An instant of a receipt: by the reader's clock, and in universal time.
function instants(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return [String(milliseconds)];
  return [localTime(date, { dateStyle: "medium", timeStyle: "long" }), date.toISOString().replace(".000Z", "Z")];
}

const acts = ["report", "withdrawal", "replacement", "correction"];

// A check's verdict, what was written, or neither: a blind check.
function saidBy(says) {
  if (acts.includes(says.act)) return ["act", t(`act_${says.act}`), says.act];
  if (says.typ === "blind") return ["verdict", t("blind_receipt")];
  return verdicts.includes(says.verdict) ? ["verdict", t(`verdict_${says.verdict}`), says.verdict] : ["verdict", String(says.verdict)];
}

function facts({ says, key, start, size, checkpoint }, file) {
  const name = file.organization ? t("name_by_file", { name: file.organization }) : t("name_unknown");
  return pairs([
    saidBy(says),
    ["time", ...instants(writtenAt(says))],
    ["who", name, String(says.aud)],
    says.as_of ? ["as_of", String(says.as_of)] : null,
    start === undefined || start === null ? null : ["start", start === "" ? t("start_none") : start.replaceAll("-", ".")],
    ["service", String(says.iss)],
    [says.act ? "record_id" : "check_id", String(says.jti)],
    ["sequence", String(says.seq)],
    ["key", key.kid, inGroups(key.fingerprint)],
    checkpoint ? ["checkpoint", String(checkpoint)] : null,
    size > 1 ? ["size", t("size_text", { size })] : null,
  ]);
}
