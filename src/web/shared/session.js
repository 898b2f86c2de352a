// The conversation with the service: one client, its token, and what a refusal means. Credentials and token live in this object only.

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

export class Session {
  #scope;
  #clientId;
  #secret;
  #token = null;
  #timer = 0;
  #ended = false;
  #lost;

  /** `scope`: what the page needs. `lost` is called when the service no longer takes the credentials. */
  constructor(scope, clientId, secret, lost) {
    this.#scope = scope;
    this.#clientId = clientId;
    this.#secret = secret;
    this.#lost = lost;
  }

  /** Gets a token, and a new one before the end of each. */
  async renew() {
    clearTimeout(this.#timer);
    const form = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: this.#clientId,
      client_secret: this.#secret,
    });
    const type = "application/x-www-form-urlencoded";
    const { response, body } = await send("POST", "/oauth2/token", form.toString(), { "Content-Type": type });
    if (this.#ended) throw new Refusal("signed_out");
    if (response.status === 400 || response.status === 401) throw new Refusal("credentials", { code: body.error });
    if (!response.ok) throw refusal(response, body);
    if (typeof body.access_token !== "string") throw new Refusal("unreadable");
    if (!String(body.scope).split(" ").includes(this.#scope)) throw new Refusal("scope");
    this.#token = body.access_token;
    this.#renewIn(Math.max(5, (Number(body.expires_in) || 600) - renewAheadS));
  }

  /** Posts JSON; gives the body of a 2xx or throws a Refusal. */
  post(path, body, headers = {}) {
    return this.#ask("POST", path, JSON.stringify(body), { "Content-Type": "application/json", ...headers });
  }

  /** Reads; gives the body of a 2xx or throws a Refusal. */
  get(path, timeoutMs) {
    return this.#ask("GET", path, undefined, {}, timeoutMs);
  }

  async #ask(method, path, body, headers, timeoutMs) {
    for (let attempt = 1; ; attempt++) {
      if (!this.#token) await this.renew();
      const answer = await send(method, path, body, { Authorization: `Bearer ${this.#token}`, ...headers }, timeoutMs);
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
    this.#clientId = this.#secret = this.#token = null;
  }

  #renewIn(seconds) {
    this.#timer = setTimeout(async () => {
      try {
        await this.renew();
      } catch (error) {
        if (this.#ended) return;
        if (error.kind === "credentials" || error.kind === "scope") this.#lost(error);
        else this.#renewIn(Math.max(10, error.waitS ?? 0));
      }
    }, seconds * 1000);
  }
}

async function send(method, path, body, headers, timeoutMs = timeoutMsMax) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  try {
    // Without "omit" a 401 of the token endpoint would open the browser's own password window.
    const options = { method, body, headers, credentials: "omit", cache: "no-store", redirect: "error" };
    const response = await fetch(at(path), { ...options, signal: stop.signal });
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

function refusal(response, body) {
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
