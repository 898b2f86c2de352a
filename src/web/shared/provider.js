// Signing in at an OpenID provider: the code flow (OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636). Tokens are in this file's variables and
// nowhere else. While the browser is at the provider, state, nonce and verifier wait in this tab's session storage; back, they are taken out.

import { objectOf, random, sha256, toBase64url } from "./jws.js";
import { Refusal, askAt, at } from "./session.js";

const mark = "lostcard-sign-in";
const awayMsMax = 600_000;
const leewayS = 60;

const resourceOf = ({ resource }) => (resource ? { resource } : {});

/** Sends the browser there. `isAgain`: the provider asks who it is, also where it remembers somebody. */
export async function leaveFor(provider, page, isAgain) {
  const asked = { state: random(24), nonce: random(24), verifier: random(32), issuer: provider.issuer, atMs: Date.now() };
  try {
    sessionStorage.setItem(mark, JSON.stringify(asked));
  } catch {
    throw new Refusal("no_store");
  }
  const target = new URL(provider.authorization_endpoint);
  // In the fragment the code comes to no server's log.
  const query = {
    response_type: "code", response_mode: "fragment", client_id: provider.client_id, redirect_uri: at(page), scope: provider.scope,
    state: asked.state, nonce: asked.nonce, code_challenge: toBase64url(await sha256(asked.verifier)), code_challenge_method: "S256",
    ...resourceOf(provider), ...(isAgain && { prompt: "login" }),
  };
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
  location.assign(target);
}

/** What the browser came back with, taken out of the address and of the tab; null where it did not come from there. */
export function broughtBack() {
  const told = new URLSearchParams(location.hash.slice(1));
  if (!told.has("state") && !told.has("error")) return null;
  history.replaceState(null, "", location.pathname);
  let asked = null;
  try {
    asked = JSON.parse(sessionStorage.getItem(mark));
    sessionStorage.removeItem(mark);
  } catch {
    // Nothing was asked.
  }
  return { told, asked };
}

/** Who came back, as what a Session proves itself by; throws a Refusal. */
export async function arrived(provider, page, { told, asked }) {
  const isOurs = asked && told.get("state") === asked.state && asked.issuer === provider.issuer && Date.now() - asked.atMs < awayMsMax;
  // RFC 9207: an answer of another provider is none.
  if (!isOurs || (told.get("iss") ?? provider.issuer) !== provider.issuer) throw new Refusal("sign_in_strange");
  if (told.has("error")) throw new Refusal(told.get("error") === "access_denied" ? "sign_in_declined" : "sign_in_refused");
  const granted = await exchange(provider, {
    grant_type: "authorization_code", code: told.get("code") ?? "", redirect_uri: at(page), code_verifier: asked.verifier,
  });
  const person = personOf(provider, granted.id_token);
  if (person.nonce !== asked.nonce) throw new Refusal("sign_in_strange");
  return personProof(provider, granted, person);
}

function personProof(provider, first, { sub, [provider.name_claim]: name }) {
  let granted = first;
  let renewal = first.refresh_token;
  let isFresh = true;
  let pending = null;

  async function renewed() {
    if (!renewal) throw new Refusal("ended");
    try {
      granted = await exchange(provider, { grant_type: "refresh_token", refresh_token: renewal });
    } catch (error) {
      throw error.kind === "sign_in_refused" ? new Refusal("ended") : error;
    }
    if (granted.id_token && personOf(provider, granted.id_token).sub !== sub) throw new Refusal("ended");
    renewal = granted.refresh_token ?? renewal;
  }
  async function next() {
    if (!isFresh) await renewed();
    isFresh = false;
    const token = granted[provider.token];
    if (typeof token !== "string" || token === "") throw new Refusal("ended");
    const endS = objectOf(token.split(".")[1] ?? "")?.exp;
    const lifeS = Number(granted.expires_in) || endS - Date.now() / 1000 || 300;
    return { token, lifeS, isLast: !renewal };
  }
  return {
    name: typeof name === "string" ? name : sub,
    // Two that ask at once get one: a provider may take the second use of a refresh token for a theft.
    grant: () => (pending ??= next().finally(() => (pending = null))),
    headers: async (_, __, token) => (token ? { Authorization: `Bearer ${token}` } : {}),
    answered: () => {},
    forget: () => {
      if (renewal && provider.revocation_endpoint) revoke(provider, renewal);
      granted = {};
      renewal = "";
    },
  };
}

async function exchange(provider, form) {
  const body = new URLSearchParams({ client_id: provider.client_id, ...form, ...resourceOf(provider) }).toString();
  const sent = askAt("POST", provider.token_endpoint, body, { "Content-Type": "application/x-www-form-urlencoded" });
  const { response, body: told } = await sent.catch((error) => {
    throw error.kind === "unreadable" ? error : new Refusal("provider_unreachable");
  });
  if (response.status >= 500) throw new Refusal("provider_unreachable");
  if (!response.ok) throw new Refusal("sign_in_refused");
  if (String(told.token_type).toLowerCase() !== "bearer") throw new Refusal("unreadable");
  return told;
}

/**
 * What an ID token says, if it is of this provider for this client and still good. It came from the provider itself over TLS, so its signature
 * need not be verified (OpenID Connect Core 1.0, 3.1.3.7, 6); the service verifies the one that it takes.
 */
function personOf(provider, token) {
  const says = objectOf(String(token).split(".")[1] ?? "");
  const audience = [says?.aud].flat();
  const isFor = audience.includes(provider.client_id) && (audience.length === 1 || says.azp === provider.client_id);
  const isGood = says?.iss === provider.issuer && isFor && typeof says.sub === "string" && says.exp > Date.now() / 1000 - leewayS;
  if (!isGood) throw new Refusal("sign_in_strange");
  return says;
}

/** Best effort: what is not revoked ends by itself. */
function revoke(provider, token) {
  const body = new URLSearchParams({ client_id: provider.client_id, token, token_type_hint: "refresh_token" });
  fetch(provider.revocation_endpoint, { method: "POST", body, keepalive: true, credentials: "omit", redirect: "error" }).catch(() => {});
}
