// Whether the service can be reached, and how old what is on the screen is. An answer is new for a minute; after that, and without
// a network at once, the page says how old it is.

import { byId } from "../web/elements.js";
import { ago, t } from "../web/i18n.js";
import { ask } from "../web/session.js";

const newMs = 60_000;
const pingMs = 5_000;
let down = false;
let lastAnswerMs = 0;
let pinging = 0;
let bands = {};

/** `shown` gives by the id of each band the moment of the answer that it is about, in milliseconds, or null. */
export function wireLink(shown) {
  bands = shown;
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
    if ((await ask("GET", "/v1/status", undefined, {}, pingMs)).response.ok) return found();
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
  byId("offline").classList.toggle("down", down);
  put(byId("offline-told"), down ? t("offline") : "");
  // Beside what is told, not in it: it changes each second.
  put(byId("offline-ago"), down && lastAnswerMs ? t("offline_ago", { ago: ago(lastAnswerMs) }) : "");
  for (const [id, shownOf] of Object.entries(bands)) renderAge(byId(id), shownOf());
}

function renderAge(band, shown) {
  if (!band) return;
  const isOld = shown !== null && (down || Date.now() - shown >= newMs);
  band.hidden = !isOld;
  if (isOld) put(band, t(band.id === "age" ? "old_answer" : "old_answers", { ago: ago(shown) }));
}

// A screen reader is not told the same twice.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
