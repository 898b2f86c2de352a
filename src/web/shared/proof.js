// What a device proves itself by: its key, unlocked by its PIN. It gives the form for a token, and the headers that go with each request.

import { random, sha256, toBase64url } from "./jws.js";

/** A JWS in compact form (RFC 7515, 3.1) by a P-256 key. */
async function signed(key, header, claims) {
  const part = (value) => toBase64url(new TextEncoder().encode(JSON.stringify(value)));
  const message = `${part(header)}.${part(claims)}`;
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, new TextEncoder().encode(message));
  return `${message}.${toBase64url(new Uint8Array(signature))}`;
}

/** The public half as JWK, without more members than it needs. */
export async function publicJwk(pair) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  return { kty, crv, x, y };
}

/**
 * The key of a device, unlocked for who is at it: assertions (RFC 7523) with a proof of the PIN, and DPoP proofs (RFC 9449).
 * `service`: {issuer, url, skewMs}, as the service says it.
 */
export function deviceProof({ pair, clientId }, { pinKey, clerk }, service) {
  let nonce = "";
  let unlocked = { pinKey, clerk };
  const nowS = () => Math.floor((Date.now() + service.skewMs) / 1000);
  return {
    async form() {
      const jti = random(16);
      const message = new TextEncoder().encode(`lostcard:pin:v1:${jti}`);
      const pin = toBase64url(new Uint8Array(await crypto.subtle.sign("HMAC", unlocked.pinKey, message)));
      const claims = { iss: clientId, sub: clientId, aud: service.issuer, iat: nowS(), exp: nowS() + 60, jti, clerk: unlocked.clerk, pin };
      return new URLSearchParams({
        grant_type: "client_credentials",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: await signed(pair.privateKey, { typ: "JWT", alg: "ES256" }, claims),
      });
    },
    async headers(method, path, token) {
      const claims = { jti: random(16), htm: method, htu: service.url + path.split("?")[0], iat: nowS() };
      if (token) claims.ath = toBase64url(await sha256(token));
      if (nonce) claims.nonce = nonce;
      const header = { typ: "dpop+jwt", alg: "ES256", jwk: await publicJwk(pair) };
      const proof = await signed(pair.privateKey, header, claims);
      return token ? { Authorization: `DPoP ${token}`, DPoP: proof } : { DPoP: proof };
    },
    answered: (response) => (nonce = response.headers.get("DPoP-Nonce") ?? nonce),
    forget: () => (unlocked = {}),
  };
}
