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

// An instant of a receipt: by the reader's clock, and in universal time.
function instants(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return [String(seconds)];
  return [localTime(date, { dateStyle: "medium", timeStyle: "long" }), date.toISOString().replace(".000Z", "Z")];
}

function facts({ says, key, start, size }, file) {
  const verdict = verdicts.includes(says.verdict) ? [t(`verdict_${says.verdict}`), says.verdict] : [String(says.verdict)];
  const name = file.organization ? t("name_by_file", { name: file.organization }) : t("name_unknown");
  return pairs([
    ["verdict", ...verdict],
    ["time", ...instants(says.iat)],
    ["who", name, String(says.aud)],
    ["as_of", String(says.as_of)],
    start === undefined || start === null ? null : ["start", start === "" ? t("start_none") : start.replaceAll("-", ".")],
    ["service", String(says.iss)],
    ["check_id", String(says.jti)],
    ["sequence", String(says.seq)],
    ["key", key.kid, inGroups(key.fingerprint)],
    size > 1 ? ["size", t("size_text", { size })] : null,
  ]);
}
