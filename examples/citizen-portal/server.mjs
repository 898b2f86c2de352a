// A citizens' portal, for reference: a person signs in at an OpenID Connect provider that vouches for the identity number, and sees what
// lostcard holds on that person. Settings are in the environment (README.md). The number is in this process's memory for one session, in
// bodies to lostcard, and nowhere else: in no page, no address, no log.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import * as openid from "openid-client";
import encodeQr from "qr";
import { pageOf, wordsOf } from "./pages.mjs";

const env = (name, fallback) => process.env[name] ?? fallback ?? fail(`${name} is not set`);
const fail = (why) => { console.error(why); process.exit(2); };
const lostcard = env("LOSTCARD_URL").replace(/\/+$/, "");
const own = new URL(env("PORTAL_URL"));
const claim = env("ID_NUMBER_CLAIM", "id_number");
const style = readFileSync(new URL("./portal.css", import.meta.url));
const sessionMs = 15 * 60_000;
const bodyBytesMax = 4096;
const sessions = new Map(); // cookie -> {number, csrf, endsMs} of who is signed in, {verifier, state, nonce, endsMs} before that

const insecure = env("OIDC_ISSUER").startsWith("http://127.0.0.1"); // a provider of a test
const provider = await openid.discovery(new URL(env("OIDC_ISSUER")), env("OIDC_CLIENT_ID"), env("OIDC_CLIENT_SECRET"), undefined,
  insecure ? { execute: [openid.allowInsecureRequests] } : undefined);

// --- lostcard ---

let token = { value: "", endsMs: 0 };

async function accessToken() {
  if (Date.now() < token.endsMs) return token.value;
  const credentials = Buffer.from(`${env("LOSTCARD_CLIENT_ID")}:${env("LOSTCARD_CLIENT_SECRET")}`).toString("base64");
  const form = new URLSearchParams({ grant_type: "client_credentials", scope: "citizen" });
  const answer = await fetch(`${lostcard}/oauth2/token`, { method: "POST", headers: { Authorization: `Basic ${credentials}` }, body: form });
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  const { access_token, expires_in } = await answer.json();
  token = { value: access_token, endsMs: Date.now() + (expires_in - 60) * 1000 };
  return access_token;
}

/** Asks lostcard about the person; null where it does not know the operation. */
async function ask(path, body) {
  const headers = { Authorization: `Bearer ${await accessToken()}`, "Content-Type": "application/json" };
  const answer = await fetch(lostcard + path, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** All pages of a list: the first answer, with the rows of the others behind its own. */
async function whole(path, id_number, member) {
  const first = await ask(path, { id_number, limit: 1000 });
  for (let cursor = first.next_cursor; cursor; ) {
    const page = await ask(path, { id_number, cursor, limit: 1000 });
    first[member].push(...page[member]);
    cursor = page.next_cursor;
  }
  return first;
}

// --- The portal ---

const cookie = (value, seconds) => `sid=${value}; HttpOnly; SameSite=Lax; Path=/; Max-Age=${seconds}${own.protocol === "https:" ? "; Secure" : ""}`;
const door = new URL(provider.serverMetadata().authorization_endpoint).origin; // where the form of the sign-in leads
const headers = { "Content-Security-Policy": `default-src 'none'; style-src 'self'; img-src data:; form-action 'self' ${door}; base-uri 'none'; frame-ancestors 'none'`,
  "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff" };
const html = (response, status, text, more = {}) => response.writeHead(status, { ...headers, "Content-Type": "text/html; charset=utf-8", ...more }).end(text);
const go = (response, where, more = {}) => response.writeHead(303, { ...headers, Location: where, ...more }).end();

function sessionOf(request) {
  for (const [id, { endsMs }] of sessions) if (endsMs < Date.now()) sessions.delete(id);
  const id = /(?:^|;\s*)sid=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1];
  return { id, session: sessions.get(id) };
}

function begin(session) {
  const id = randomBytes(32).toString("base64url");
  sessions.set(id, { ...session, endsMs: Date.now() + sessionMs });
  return { "Set-Cookie": cookie(id, sessionMs / 1000) };
}

async function login(response) {
  const [verifier, state, nonce] = [openid.randomPKCECodeVerifier(), openid.randomState(), openid.randomNonce()];
  const where = openid.buildAuthorizationUrl(provider, { redirect_uri: new URL("/callback", own).href, scope: "openid identity", state, nonce,
    code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256" });
  go(response, where.href, begin({ verifier, state, nonce }));
}

async function callback(request, response, { id, session }) {
  if (!session?.verifier) return go(response, "/");
  sessions.delete(id); // a code is taken once
  const tokens = await openid.authorizationCodeGrant(provider, new URL(request.url, own), { pkceCodeVerifier: session.verifier, expectedState: session.state, expectedNonce: session.nonce });
  const { sub } = tokens.claims();
  const person = tokens.claims()[claim] ? tokens.claims() : await openid.fetchUserInfo(provider, tokens.access_token, sub);
  if (typeof person[claim] !== "string") return html(response, 403, pageOf(wordsOf(request), { message: "no_number" }));
  go(response, "/", begin({ number: person[claim], csrf: randomBytes(16).toString("base64url") }));
}

async function home(request, response, session, more = {}) {
  const words = wordsOf(request);
  if (!session?.number) return html(response, 200, pageOf(words, {}));
  const [records, accesses] = await Promise.all([whole("/v1/citizen/records", session.number, "sightings"), whole("/v1/citizen/accesses", session.number, "accesses")]);
  html(response, 200, pageOf(words, { csrf: session.csrf, records, accesses: accesses.accesses, ...more }));
}

/** A statement that a hotel's desk verifies without asking anybody: shown as a code, valid for minutes. */
async function status(request, response, session, form) {
  const answer = await ask("/v1/citizen/card-status", { id_number: session.number, card_valid_from: form.get("card_valid_from") }).catch(() => undefined);
  if (!answer) return home(request, response, session, { message: answer === null ? "status_not_offered" : "status_failed" });
  const text = `${answer.status}~${answer.status_salt}`;
  await home(request, response, session, { status: { text, svg: encodeQr(text, "svg", { ecc: "low" }) } });
}

async function formOf(request) {
  let text = "";
  for await (const piece of request) if ((text += piece).length > bodyBytesMax) throw new Error("too long a form");
  return new URLSearchParams(text);
}

async function serve(request, response) {
  const { pathname } = new URL(request.url, own);
  const at = sessionOf(request);
  if (request.method === "GET" && pathname === "/portal.css") return response.writeHead(200, { ...headers, "Content-Type": "text/css" }).end(style);
  if (request.method === "GET" && pathname === "/") return home(request, response, at.session);
  if (request.method === "GET" && pathname === "/callback") return callback(request, response, at);
  if (request.method !== "POST") return html(response, 404, pageOf(wordsOf(request), { message: "not_found" }));
  if (pathname === "/login") return login(response);
  const form = await formOf(request);
  if (!at.session?.number || form.get("csrf") !== at.session.csrf) return go(response, "/");
  if (pathname === "/status") return status(request, response, at.session, form);
  if (pathname !== "/logout") return html(response, 404, pageOf(wordsOf(request), { message: "not_found" }));
  sessions.delete(at.id);
  go(response, "/", { "Set-Cookie": cookie("", 0) });
}

const server = createServer((request, response) => serve(request, response).catch((error) => {
  console.error(`${request.method} ${request.url.split("?")[0]}: ${error.message}`); // no query, no body
  if (!response.headersSent) html(response, 502, pageOf(wordsOf(request), { message: "failed" }));
}));
server.listen(Number(env("PORT", own.port || "8090")), "127.0.0.1", () => console.log(`portal: ${own.origin}`));
