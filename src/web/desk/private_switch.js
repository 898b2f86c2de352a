// The switch of the private mode: what it says, and when. What does the work is fetched when somebody switches it on.

import { desk } from "./state.js";
import { byId } from "../web/elements.js";
import { t } from "../web/i18n.js";

/** Why it cannot be switched on, by what the service answers. */
const reasons = { insufficient_scope: "private_scope", not_found: "private_never", blind_behind: "private_behind", http_404: "private_never" };
let said = ["private_intro"];
let turn = 0;

export function renderPrivate() {
  const [key, values] = said;
  byId("private-hint").textContent = t(key, values);
}

function say(key, values) {
  said = [key, values];
  renderPrivate();
}

/** Switches it on or off; on: once what it needs is here. */
export async function switchPrivate(isOn) {
  const own = ++turn;
  desk.private = null;
  byId("private").checked = isOn;
  if (!isOn) return say("private_intro");
  say("private_loading");
  try {
    const { begin, answersOf } = await import("./private.js");
    const { client, bytes } = await begin(desk.session);
    if (own !== turn) return;
    desk.private = { client, answersOf };
    say("private_on", { size: Math.max(0.1, bytes / 1e6).toFixed(1) });
  } catch (refusal) {
    if (own !== turn) return;
    byId("private").checked = false;
    say(reasons[refusal.code] ?? (refusal.kind === "unproven" ? "unproven" : "private_failed"));
  }
}

export function wirePrivate() {
  byId("private").onchange = () => switchPrivate(byId("private").checked);
  renderPrivate();
}
