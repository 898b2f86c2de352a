// Whether the service can be reached, and how old what is on the screen is. An answer is new for a minute; after that, and without
// a network at once, the page says how old it is.

import { byId } from "../web/elements.js";
import { ago, t } from "../web/i18n.js";
import { at } from "../web/session.js";

const newMs = 60_000;
const pingMs = 5_000;
let down = false;
let lastAnswerMs = 0;
let pinging = 0;
let shownOf = () => null;

/** `shown` gives the moment of the answer on the screen, in milliseconds, or null. */
export function wireLink(shown) {
  shownOf = shown;
  window.addEventListener("offline", lost);
  window.addEventListener("online", ping);
  setInterval(renderLink, 1000);
}

/** An answer came. */
export function answered() {
  lastAnswerMs = Date.now();
  found();
}

/** No answer came, for lack of a network. */
export function lost() {
  down = true;
  clearTimeout(pinging);
  pinging = setTimeout(ping, pingMs);
  renderLink();
}

export const isDown = () => down;

function found() {
  down = false;
  clearTimeout(pinging);
  renderLink();
}

async function ping() {
  if (!down) return;
  try {
    const options = { credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(pingMs) };
    if ((await fetch(at("/v1/status"), options)).ok) return found();
  } catch {
    // Still no network.
  }
  if (down) lost();
}

/** Forgets when the last answer was. */
export function forgetLink() {
  lastAnswerMs = 0;
}

export function renderLink() {
  const note = byId("offline");
  note.hidden = !down;
  if (down) put(note, lastAnswerMs ? t("offline_last", { ago: ago(lastAnswerMs) }) : t("offline_never"));
  const age = byId("age");
  if (!age) return;
  const shown = shownOf();
  const isOld = shown !== null && (down || Date.now() - shown >= newMs);
  age.hidden = !isOld;
  if (isOld) put(age, t("old_answer", { ago: ago(shown) }));
}

// A screen reader is not told the same twice.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
