// Signing in by a passkey (Web Authentication Level 3), where no provider knows the persons: what the browser is asked for, and what the service
// is sent. The token is in this file's variables and nowhere else, the passkey where the browser keeps it.

import { fromBase64url, toBase64url } from "./jws.js";
import { Refusal, ask, refusal } from "./session.js";

/** Those that the standard names; a browser may have others. */
const transports = ["ble", "hybrid", "internal", "nfc", "smart-card", "usb"];
const refusals = { NotAllowedError: "passkey_declined", InvalidStateError: "passkey_known" };

const textOf = (buffer) => toBase64url(new Uint8Array(buffer));
const bytesOf = (known) => known.map((one) => ({ ...one, id: fromBase64url(one.id) }));

/** Makes a passkey by the code of a link; the name of its person. */
export async function make(code) {
  const { ceremony_id, options } = await posted("/v1/passkeys/registration-options", { code });
  const publicKey = {
    ...options, challenge: fromBase64url(options.challenge), user: { ...options.user, id: fromBase64url(options.user.id) },
    excludeCredentials: bytesOf(options.excludeCredentials),
  };
  const made = await asked(() => navigator.credentials.create({ publicKey }));
  const key = made.response.getPublicKey();
  const response = {
    clientDataJSON: textOf(made.response.clientDataJSON), attestationObject: textOf(made.response.attestationObject),
    authenticatorData: textOf(made.response.getAuthenticatorData()), publicKey: key && textOf(key),
    publicKeyAlgorithm: made.response.getPublicKeyAlgorithm(), transports: made.response.getTransports().filter((way) => transports.includes(way)),
  };
  const { name } = await posted("/v1/passkeys/registration", { ceremony_id, credential: answerOf(made, response) });
  return name;
}

/** Who signs in, as what a Session proves itself by; throws a Refusal. */
export async function signIn() {
  const { ceremony_id, options } = await posted("/v1/passkeys/sign-in-options", {});
  const publicKey = { ...options, challenge: fromBase64url(options.challenge), allowCredentials: bytesOf(options.allowCredentials) };
  const given = await asked(() => navigator.credentials.get({ publicKey }));
  const { clientDataJSON, authenticatorData, signature, userHandle } = given.response;
  const response = {
    clientDataJSON: textOf(clientDataJSON), authenticatorData: textOf(authenticatorData), signature: textOf(signature),
    userHandle: textOf(userHandle ?? new ArrayBuffer(0)),
  };
  return proofOf(await posted("/v1/passkeys/sign-in", { ceremony_id, credential: answerOf(given, response) }));
}

/** A token that nothing renews: at its end the person is asked again. */
function proofOf({ access_token: first, expires_in, name }) {
  let token = first;
  return {
    name,
    grant: async () => {
      const given = token;
      token = "";
      if (!given) throw new Refusal("ended");
      return { token: given, lifeS: Number(expires_in) || 300, isLast: true };
    },
    headers: async (_, __, held) => (held ? { Authorization: `Bearer ${held}` } : {}),
    answered: () => {},
    forget: () => (token = ""),
  };
}

const answerOf = ({ rawId, authenticatorAttachment }, response) => ({
  id: textOf(rawId), rawId: textOf(rawId), type: "public-key", response, clientExtensionResults: {},
  ...(["platform", "cross-platform"].includes(authenticatorAttachment) && { authenticatorAttachment }),
});

/** What the browser asks its person for. */
async function asked(asking) {
  // Only where the page came by HTTPS, or from this very machine.
  if (!navigator.credentials || !window.PublicKeyCredential) throw new Refusal("passkey_unsupported");
  try {
    return await asking();
  } catch (error) {
    throw new Refusal(refusals[error.name] ?? "passkey_unsupported");
  }
}

async function posted(path, sent) {
  const { response, body } = await ask("POST", path, JSON.stringify(sent), { "Content-Type": "application/json" });
  if (response.status === 401) throw new Refusal("passkey_refused");
  if (!response.ok) throw refusal(response, body);
  return body;
}
