// The private mode: the whole registry is on this page, in a form that opens for one card at a time, so the service is not told which card is
// asked about. What it finds reported is asked directly after that. Fetched when it is switched on, and gone with it.

import { BlindClient, BlindError } from "./blind.min.js";
import { settings } from "./settings.js";
import { Refusal } from "../web/session.js";

const baseMs = 120_000;
const settled = ["not_listed", "other_card_listed"];
const bytesOf = (hex) => Uint8Array.from(hex.match(/../g), (two) => parseInt(two, 16));

/** The client with this page's session: its token, its deadlines, its refusals. */
class PrivateClient extends BlindClient {
  constructor(session) {
    super("", { token: async () => "" });
    this.session = session;
  }

  async ask(path, body) {
    if (path.startsWith("/v1/blind/bases/") || path.startsWith("/registry-log/")) {
      const bytes = await this.session.bytes(path, baseMs);
      return { arrayBuffer: async () => bytes.buffer, text: async () => new TextDecoder().decode(bytes) };
    }
    const answer = await (body ? this.session.post(path, body) : this.session.get(path));
    return { json: async () => answer };
  }
}

/** Switches it on: fetches what is listed, in its blind form. Gives how many bytes that is. */
export async function begin(session) {
  const client = new PrivateClient(session);
  await refusing(async () => {
    await client.takeUp();
    // Now, and not while a guest waits.
    await client.catchUp();
  });
  return { client, bytes: client.base.data.length };
}

/**
 * The answers to questions that need no direct check, at their places; undefined where one must follow. An outage is never an answer: it
 * throws, and nothing is asked directly.
 */
export async function answersOf(client, questions) {
  const { purpose, site } = settings();
  Object.assign(client, { purpose, site: site || undefined });
  const verdicts = await refusing(() => client.checkDigests(questions.map(({ digest, validFrom }) => [bytesOf(digest), validFrom])));
  return verdicts.map((verdict) => (settled.includes(verdict) ? { verdict, as_of: client.asOf, isPrivate: true } : undefined));
}

// A proof that does not hold is told as such: the service used another key than the one that it published.
async function refusing(asking) {
  try {
    return await asking();
  } catch (error) {
    if (error instanceof BlindError) throw new Refusal("unproven");
    throw error;
  }
}
