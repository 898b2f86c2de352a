// An OpenID Connect provider for the tests of portal and console: real protocol, real signatures, anybody may sign in by a name that it knows.
// PORT, the URL of portal or node, and a JSON object of names and what the provider vouches for them; `ttl` and `renews` are of their tokens.

import Provider from "oidc-provider";

const [port, url, people] = process.argv.slice(2);
const known = JSON.parse(people);
const of = (id) => known[id] ?? {};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { client_id: "portal", client_secret: "a-secret-of-the-test", redirect_uris: [`${url}/callback`] },
    { client_id: "console", token_endpoint_auth_method: "none", redirect_uris: [`${url}/console`], grant_types: ["authorization_code", "refresh_token"] },
  ],
  scopes: ["openid", "identity", "profile"],
  claims: { openid: ["sub"], identity: ["id_number"], profile: ["preferred_username"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => (known[id] ? { accountId: id, claims: () => ({ sub: id, preferred_username: id, ...known[id] }) } : undefined),
  cookies: { keys: ["of the test"] },
  pkce: { required: () => true },
  // A page of another origin asks for tokens.
  clientBasedCORS: (_, __, client) => client.clientId === "console",
  issueRefreshToken: (_, client, code) => client.clientId === "console" && Boolean(of(code.accountId).renews),
  extraTokenClaims: (_, token) => ({ groups: of(token.accountId).groups ?? [], preferred_username: token.accountId }),
  ttl: { AccessToken: (_, token) => of(token.accountId).ttl ?? 600 },
  features: {
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({ scope: "", audience: resource, accessTokenFormat: "jwt" }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("provider"));
