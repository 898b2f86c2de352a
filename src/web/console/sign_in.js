// The way in: a person at the provider that the node names, or by a passkey, or a client by its secret. What opens a session, and why none was
// opened. A link of the command line (#invite=) leads to making a passkey.

import { byId } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { Refusal, Session, ask, secretOf } from "../web/session.js";

const page = "/console";
/** Fetched where there is a provider. */
const atProvider = () => import("../web/provider.js").catch(() => { throw new Refusal("network"); });
const byPasskey = () => import("../web/passkeys.js").catch(() => { throw new Refusal("network"); });
let provider = { state: "none" };
// The code of a link, until a passkey is made by it.
let invitation = "";
let message = "";
let entering = "";
// Signed out here, somebody may still be signed in there.
let hasLeft = false;
let onOpened;
let onLost;

export function renderEntry(isIn) {
  const isOffered = provider.state !== "none";
  byId("entry").hidden = isIn;
  byId("entry-message").textContent = message ? t(message) : "";
  byId("by-person").hidden = !isOffered;
  byId("by-secret-title").hidden = !isOffered;
  if (!isOffered) byId("by-secret").open = true;
  byId("enter").textContent = t(entering === "secret" ? "signing_in" : "sign_in_title");
  byId("enter-person").textContent = t(entering === "person" ? "signing_in" : wayIn());
  const about = byId("person-text");
  about.dataset.t = provider.state !== "passkeys" ? "person_text" : invitation ? "invited_text" : "passkey_text";
  about.textContent = t(about.dataset.t);
  const out = provider.end_session_endpoint;
  byId("provider-out").hidden = !hasLeft || !out;
  if (out) byId("provider-out-link").href = `${out}${out.includes("?") ? "&" : "?"}client_id=${encodeURIComponent(provider.client_id)}`;
}

function wayIn() {
  if (provider.state === "passkeys") return invitation ? "passkey_make" : "passkey_sign_in";
  return provider.state === "away" ? "again" : "person_sign_in";
}

export const focusEntry = () => byId(provider.state === "none" ? "client-id" : "enter-person").focus();

/** Says why nobody is in any more. */
export function left(why, isPerson) {
  message = why;
  hasLeft ||= isPerson;
}

/** `opened(session, name)` is called for who comes in, `lost(kind)` when the service or the provider no longer takes them. */
export async function wireEntry(opened, lost) {
  [onOpened, onLost] = [opened, lost];
  byId("entry-form").onsubmit = enter;
  byId("enter-person").onclick = leave;
  // What came back is taken out of the address before anything else.
  takeInvitation();
  const back = location.hash ? (await atProvider().catch(() => null))?.broughtBack() : null;
  await learn();
  if (back) await trying("person", () => arrive(back));
}

function takeInvitation() {
  const told = new URLSearchParams(location.hash.slice(1));
  if (!told.has("invite")) return;
  invitation = told.get("invite");
  history.replaceState(null, "", location.pathname);
}

/** Which provider there is. A node that does not say has none. */
async function learn() {
  const answer = await ask("GET", "/console/provider.json").catch(() => null);
  if (answer?.response.ok && typeof answer.body.state === "string") provider = answer.body;
  if (provider.state === "away") message = "provider_away";
  if (invitation && provider.state !== "passkeys") message = "passkey_refused";
}

/** Once at a time; why it failed is said. */
async function trying(way, doing) {
  if (entering) return;
  entering = way;
  message = "";
  renderEntry(false);
  try {
    await doing();
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    message = error.kind ?? "unreadable";
  }
  entering = "";
}

async function enter(event) {
  event.preventDefault();
  const [id, secret] = ["client-id", "client-secret"].map((name) => byId(name).value.trim());
  if (!id || !secret) {
    message = "missing_credentials";
    return renderEntry(false);
  }
  await trying("secret", async () => {
    await open(secretOf(id, secret), "", (session) => session.renew());
    byId("client-id").value = byId("client-secret").value = "";
  });
  if (!message) return;
  renderEntry(false);
  byId("client-secret").focus();
}

async function leave() {
  if (provider.state === "away") return location.reload();
  if (provider.state === "passkeys") {
    await trying("person", invitation ? makePasskey : enterByPasskey);
    // Who is in sees the console.
    if (message) renderEntry(false);
    return;
  }
  await trying("person", async () => (await atProvider()).leaveFor(provider, page, hasLeft));
  if (message) renderEntry(false);
}

async function makePasskey() {
  await (await byPasskey()).make(invitation);
  invitation = "";
  message = "passkey_made";
}

async function enterByPasskey() {
  const proof = await (await byPasskey()).signIn();
  await open(proof, proof.name, (session) => session.get("/v1/console"));
}

async function arrive(back) {
  if (provider.state !== "ready") throw new Refusal("provider_away");
  const proof = await (await atProvider()).arrived(provider, page, back);
  try {
    await open(proof, proof.name, (session) => session.get("/v1/console"));
  } catch (error) {
    hasLeft = true;
    // The provider knows the person and the service does not take the token.
    throw ["credentials", "ended", "scope"].includes(error.kind) ? new Refusal("no_role") : error;
  }
}

async function open(proof, name, probe) {
  const session = new Session("admin", proof, (error) => onLost(error.kind));
  try {
    await probe(session);
  } catch (error) {
    session.end();
    throw error;
  }
  onOpened(session, name);
}
