// @ts-check
/** Requests to the service. Every failure is a {@link Problem}, so callers handle one kind of error. */

/** An answer that was not OK; status 0 means that the service was not reached. */
export class Problem extends Error {
  /** @param {number} status @param {any} [body] problem+json @param {number} [wait] seconds to wait, if the service said so */
  constructor(status, body = {}, wait = 0) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.body = body;
    this.name = body.name || "";
    this.mend = body.mend || "";
    this.wait = wait;
  }

  /** Whether the same request may succeed later. */
  get transient() {
    return !this.status || this.status === 429 || this.status >= 500;
  }
}

/** @param {number} ms */
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** 128 random bits in hex; crypto.randomUUID needs https, this does not. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/**
 * @param {string} method @param {string} path
 * @param {{token?: string, body?: object, key?: string}} [options] key: Idempotency-Key
 * @returns {Promise<any>} the JSON body, or null for 204
 */
export async function request(method, path, { token, body, key } = {}) {
  /** @type {Record<string, string>} */
  const headers = { "Accept-Language": document.documentElement.lang };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 20000);
  try {
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: stop.signal });
    if (!response.ok) {
      throw new Problem(response.status, await response.json().catch(() => ({})), Number(response.headers.get("Retry-After")) || 0);
    }
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    throw error instanceof Problem ? error : new Problem(0);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A request that is safe to repeat, tried again while the failure is transient.
 * @param {() => Promise<any>} send @param {(problem: Problem) => void} [tell] hears of each failure at once
 */
export async function retried(send, tell) {
  let times = 4;
  for (let wait = 700; ; wait *= 2) {
    try {
      return await send();
    } catch (error) {
      const problem = /** @type {Problem} */ (error);
      tell?.(problem);
      if (!problem.transient || --times < 1) throw problem;
      await sleep(Math.min(8000, Math.max(wait, problem.wait * 1000)));
    }
  }
}
