// Asking: one card or a group. Digests alone go out; what is not one of the contract's verdicts is no answer.

import { answered, lost } from "./link.js";
import { settings } from "./settings.js";
import { desk } from "./state.js";
import { Refusal } from "../web/session.js";

const rowsMax = 500;
const verdicts = ["not_listed", "card_listed", "other_card_listed", "number_listed"];

/** The check as the contract has it. */
function bodyOf({ digest, validFrom, reference }) {
  const { purpose, site } = settings();
  return {
    id_digest: digest,
    purpose,
    ...(validFrom && { card_valid_from: validFrom }),
    ...(site && { site }),
    ...(reference && { client_ref: reference }),
  };
}

/** Asks about one card: the question with its answer or the refusal. */
export async function askOne(question) {
  return finished(question, async () => {
    const [answer] = (await privateAnswers([question])) ?? [];
    return answer ?? readAnswer(await told(desk.session.post("/v1/checks", bodyOf(question))));
  });
}

/** What the private mode settles, at its places; null where it is off. */
const privateAnswers = async (questions) => (desk.private ? told(desk.private.answersOf(desk.private.client, questions)) : null);

/** Asks about a group: the questions in their order, each with its answer or a refusal. */
export async function askGroup(questions) {
  let settled;
  try {
    settled = await privateAnswers(questions);
  } catch (error) {
    return Promise.all(questions.map((question) => finished(question, () => Promise.reject(error))));
  }
  if (!settled) return askBatch(questions);
  const open = questions.filter((_, at) => !settled[at]);
  const asked = open.length > 0 ? await askBatch(open) : [];
  return Promise.all(questions.map((question, at) => (settled[at] ? finished(question, async () => settled[at]) : asked[open.indexOf(question)])));
}

/** The same directly, in one batch. */
async function askBatch(questions) {
  let results;
  try {
    const body = { checks: questions.map(bodyOf) };
    results = (await told(desk.session.post("/v1/checks/batch", body))).results;
    if (!Array.isArray(results) || results.length !== questions.length) throw new Refusal("unreadable");
  } catch (error) {
    return Promise.all(questions.map((question) => finished(question, () => Promise.reject(error))));
  }
  const one = ({ check, problem } = {}) => {
    if (check) return readAnswer(check);
    throw new Refusal("refused", { code: typeof problem?.code === "string" ? problem.code : "" });
  };
  return Promise.all(questions.map((question, at) => finished(question, async () => one(results[at]))));
}

async function finished(question, ask) {
  const result = { ...question };
  try {
    result.answer = await ask();
  } catch (error) {
    result.refusal = error instanceof Refusal ? error : new Refusal("unreadable");
    result.retryAtMs = Date.now() + result.refusal.waitS * 1000;
  }
  result.atMs = Date.now();
  return result;
}

// Whether the service was reached is known from each answer, also from one that refuses.
async function told(asking) {
  try {
    const body = await asking;
    answered();
    return body;
  } catch (error) {
    if (error.kind === "network" || error.kind === "timeout") lost();
    throw error;
  }
}

// Anything but a verdict of the contract is no answer.
function readAnswer(answer) {
  if (!verdicts.includes(answer.verdict) || typeof answer.check_id !== "string" || Number.isNaN(Date.parse(answer.as_of))) {
    throw new Refusal("unreadable");
  }
  return answer;
}

/** Today's list, with these before: no digest, receipt or salt is in it. */
export function record(results) {
  const rows = results.map((result) => {
    const { atMs, reference, tail, validFrom, refusal, answer } = result;
    const rest = answer && { verdict: answer.verdict, listing: answer.listing, isPrivate: answer.isPrivate };
    result.row = { atMs, reference, tail, validFrom: Boolean(validFrom), refusal, answer: rest };
    return result.row;
  });
  desk.rows = [...rows.reverse(), ...desk.rows].slice(0, rowsMax);
}
