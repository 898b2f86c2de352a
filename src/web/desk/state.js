// What the desk remembers, all of it in this object and gone with the page: the session, today's rows without numbers, the check at
// hand and those of a group with digest and receipt, until the next ones, two idle minutes, or leaving.

export const desk = {
  session: null,
  /** Whether the session is of a paired device. */
  isDevice: false,
  /** The organization's name, as the service has it. */
  house: "",
  /** The private mode while it is on: its client, and what asks with it. */
  private: null,
  /** The published keys, for certificates where there is no network. */
  keys: [],
  /** What the service calls itself, for card statuses. */
  issuer: "",
  entering: false,
  entryMessage: [],
  rows: [],
  /** {digest, tail, validFrom, reference, answer | refusal, at} */
  check: null,
  /** Checks of the last group, in the order of its lines. */
  group: [],
  /** Counts questions: an answer to an earlier one is not shown. */
  asking: 0,
  status: "result_empty",
  statusValues: {},
  hints: {},
};

/** Forgets the checks at hand, not today's rows. */
export function forgetChecks() {
  desk.asking++;
  desk.check = null;
  desk.group = [];
}
