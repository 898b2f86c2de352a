// Tokens by Node's OAuth libraries, each by every method that it offers and the service takes, as docs/guides/integrators.md says. Node's
// `oauth4webapi` form-encodes `-` and `_` in Basic; `openid-client` is made of it.
//
//   node main.mjs SCENARIO     prints `ok LIBRARY METHOD` for each

import { readFileSync } from "node:fs";

import * as oauth from "oauth4webapi";
import * as openid from "openid-client";

const { issuer, secret, keyed, jwk } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const key = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
// The test's node has no TLS.
const insecure = { [oauth.allowInsecureRequests]: true };

const server = await oauth.processDiscoveryResponse(
    new URL(issuer),
    await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...insecure }),
);

async function byOauth4webapi(method, client_id, authentication) {
    const client = { client_id };
    const parameters = new URLSearchParams({ scope: "checks" });
    const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, parameters, insecure);
    const answer = await oauth.processClientCredentialsResponse(server, client, response);
    if (answer.token_type !== "bearer" || !answer.access_token) throw new Error(JSON.stringify(answer));
    console.log(`ok oauth4webapi ${method}`);
}

async function byOpenidClient(method, client_id, authentication) {
    const options = { algorithm: "oauth2", execute: [openid.allowInsecureRequests] };
    const configuration = await openid.discovery(new URL(issuer), client_id, undefined, authentication, options);
    const answer = await openid.clientCredentialsGrant(configuration, { scope: "checks" });
    if (!answer.access_token) throw new Error(JSON.stringify(answer));
    console.log(`ok openid-client ${method}`);
}

const assertion = { key, kid: jwk.kid };
for (const [library, get] of [[oauth, byOauth4webapi], [openid, byOpenidClient]]) {
    await get("client_secret_basic", secret.client_id, library.ClientSecretBasic(secret.client_secret));
    await get("client_secret_post", secret.client_id, library.ClientSecretPost(secret.client_secret));
    await get("private_key_jwt", keyed.client_id, library.PrivateKeyJwt(assertion));
}
