// The conversation with the service: one client, its token, and what a refusal means. Its token lives in this object only, what it proves
// itself by in another one: a secret here, the key of a device in proof.js, a person's sign-in in provider.js.

const timeoutMsMax = 20_000;
const renewAheadS = 60;

/** Where a path of the service is for this page: a proxy may serve it below a path of its own. */
export const at = (path) => new URL(`..${path}`, import.meta.url).href;

/** The service's own address, as people write it. */
export const service = () => at("").replace(/\/$/, "");

/** Why there is no answer. `kind` is a word of the locale files. */
export class Refusal extends Error {
  constructor(kind, { code = "", waitS = 0, requestId = "", errors = [] } = {}) {
    super(kind);
    Object.assign(this, { kind, code, waitS, requestId, errors });
  }
}

/** A client's secret, as somebody typed it. It lives in this object only. */
export function secretOf(clientId, clientSecret) {
  let form = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
  return {
    form: async () => new URLSearchParams(form),
    headers: async (_, __, token) => (token ? { Authorization: `Bearer ${token}` } : {}),
    answered: () => {},
    forget: () => (form = {}),
  };
}

export class Session {
  #scope;
  #proof;
  #token = null;
  #timer = 0;
  #ended = false;
  #lost;

  /** `scope`: what the page needs. `proof`: what gives a token or the form for one, and headers. `lost` is called when the service no longer takes it. */
  constructor(scope, proof, lost) {
    this.#scope = scope;
    this.#proof = proof;
    this.#lost = lost;
  }

  /** Gets a token, and a new one before the end of each. */
  async renew() {
    clearTimeout(this.#timer);
    const { token, lifeS, isLast } = await (this.#proof.grant ? this.#proof.grant() : this.#granted());
    if (this.#ended) throw new Refusal("signed_out");
    this.#token = token;
    this.#renewIn(isLast ? lifeS : Math.max(5, lifeS - renewAheadS));
  }

  async #granted() {
    let { response, body } = await this.#askToken();
    // The nonce came with the refusal.
    if (response.status === 400 && body.error === "use_dpop_nonce") ({ response, body } = await this.#askToken());
    if (response.status === 400 || response.status === 401) throw new Refusal("credentials", { code: body.error });
    if (!response.ok) throw refusal(response, body);
    if (typeof body.access_token !== "string") throw new Refusal("unreadable");
    if (!String(body.scope).split(" ").includes(this.#scope)) throw new Refusal("scope");
    return { token: body.access_token, lifeS: Number(body.expires_in) || 600, isLast: false };
  }

  async #askToken() {
    const form = (await this.#proof.form()).toString();
    const type = { "Content-Type": "application/x-www-form-urlencoded" };
    const answer = await ask("POST", "/oauth2/token", form, { ...type, ...(await this.#proof.headers("POST", "/oauth2/token")) });
    this.#proof.answered(answer.response);
    return answer;
  }

  /** Posts JSON; gives the body of a 2xx or throws a Refusal. */
  post(path, body, headers = {}) {
    return this.#ask("POST", path, JSON.stringify(body), { "Content-Type": "application/json", ...headers });
  }

  /** Changes what a merge patch (RFC 7396) names; gives the body of a 2xx or throws a Refusal. */
  patch(path, body) {
    return this.#ask("PATCH", path, JSON.stringify(body), { "Content-Type": "application/merge-patch+json" });
  }

  /** Reads; gives the body of a 2xx or throws a Refusal. */
  get(path, timeoutMs) {
    return this.#ask("GET", path, undefined, {}, timeoutMs);
  }

  /** Reads bytes; gives those of a 2xx or throws a Refusal. */
  bytes(path, timeoutMs) {
    return this.#ask("GET", path, undefined, {}, timeoutMs, readBytes);
  }

  async #ask(method, path, body, headers, timeoutMs, read) {
    for (let attempt = 1; ; attempt++) {
      if (!this.#token) await this.renew();
      const proven = await this.#proof.headers(method, path, this.#token);
      const answer = await ask(method, path, body, { ...proven, ...headers }, timeoutMs, read);
      this.#proof.answered(answer.response);
      if (this.#ended) throw new Refusal("signed_out");
      if (answer.response.ok) return answer.body;
      if (answer.response.status !== 401 || attempt > 1) throw refusal(answer.response, answer.body);
      this.#token = null;
    }
  }

  /** Forgets everything. */
  end() {
    clearTimeout(this.#timer);
    this.#ended = true;
    this.#proof.forget();
    this.#token = null;
  }

  #renewIn(seconds) {
    this.#timer = setTimeout(async () => {
      try {
        await this.renew();
      } catch (error) {
        if (this.#ended) return;
        if (["credentials", "scope", "ended"].includes(error.kind)) this.#lost(error);
        else this.#renewIn(Math.max(10, error.waitS ?? 0));
      }
    }, seconds * 1000);
  }
}

const readBytes = async (response) => new Uint8Array(await response.arrayBuffer());

/** Sends as it is: {response, body}. Throws a Refusal where there is no answer. */
export const ask = (method, path, ...more) => askAt(method, at(path), ...more);

/** The same to a whole address. */
export async function askAt(method, url, body, headers, timeoutMs = timeoutMsMax, read = undefined) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  try {
    // Without "omit" a 401 of the token endpoint would open the browser's own password window.
    const options = { method, body, headers, credentials: "omit", cache: "no-store", redirect: "error" };
    const response = await fetch(url, { ...options, signal: stop.signal });
    if (read && response.ok) return { response, body: await read(response) };
    const text = await response.text();
    return { response, body: readObject(text, response.ok) };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(stop.signal.aborted ? "timeout" : "network");
  } finally {
    clearTimeout(timer);
  }
}

function readObject(text, mustBe) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object") return value;
  } catch {
    // Told below.
  }
  if (mustBe) throw new Refusal("unreadable");
  return {};
}

/** What an answer that is no success means. */
export function refusal(response, body) {
  const seconds = Number(response.headers.get("Retry-After"));
  const details = {
    code: typeof body.code === "string" ? body.code : `http_${response.status}`,
    waitS: Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : 0,
    requestId: response.headers.get("X-Request-Id") ?? "",
    // What is wrong with which member: {pointer, code}.
    errors: Array.isArray(body.errors) ? body.errors : [],
  };
  if (response.status === 401) return new Refusal("credentials", details);
  if (response.status === 403) return new Refusal("scope", details);
  if (response.status === 429) return new Refusal(details.code === "abnormal_use" ? "abnormal" : "limited", details);
  if (response.status >= 500) return new Refusal("unavailable", details);
  return new Refusal("refused", details);
}
