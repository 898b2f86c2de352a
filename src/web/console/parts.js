// What several views of administration show: what is asked for or why it does not come, an instant, a secret that is shown once, a request that waits for another operator.

import { reasonOf } from "./forms.js";
import { make, told } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";

export const stamp = (at) => (at ? localTime(at, { dateStyle: "medium", timeStyle: "short" }) : undefined);

/** Fills a place with what is asked for; why it cannot is said in it. */
export async function fill(place, asking, draw) {
  place.show(() => told("p", "view_loading", { role: "status" }));
  try {
    await asking();
    place.show(draw);
  } catch (refusal) {
    if (!refusal.kind) throw refusal;
    place.show(() => {
      const again = told("button", "again", { type: "button", onclick: () => fill(place, asking, draw) });
      return [make("p", { className: "message", role: "alert" }, reasonOf(refusal)), again];
    });
  }
}

/** A text with a button that copies it. */
function copied(text) {
  const button = told("button", "copy", { type: "button", className: "small" });
  button.onclick = async () => {
    const isCopied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    button.textContent = t(isCopied ? "copied" : "copy_by_hand");
  };
  return make("p", { className: "once" }, make("code", { className: "break" }, text), " ", button);
}

/** What is shown this once, until it is put away: what each is called, and what it is. */
export function onceOf(place, title, text, values, shown) {
  place.show(() => [
    told("h4", title),
    make("p", { className: "warning", role: "alert" }, t(text, values)),
    ...shown.flatMap(([key, value]) => [told("p", key), copied(value)]),
    told("button", "secret_away", { type: "button", className: "primary", onclick: () => place.clear() }),
  ]);
  place.querySelector("button").focus();
}

/** What a client signs in with. The service has its hash and cannot show it again. */
export function secretOf(place, { client_id, client_secret }) {
  const word = client_secret ? "secret" : "secret_lost";
  onceOf(place, `${word}_title`, `${word}_text`, {}, [["client_id", client_id], ...(client_secret ? [["client_secret", client_secret]] : [])]);
}

/** An act that another operator must approve. */
export function waiting(place, { request_id }) {
  place.show(() => [
    told("h4", "waits_title"), told("p", "waits_text", { className: "warning", role: "alert" }), copied(request_id),
  ]);
  place.querySelector("button").focus();
}
