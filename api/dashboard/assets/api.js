// The API, and what it says when it cannot answer.

/** An answer that is a problem (RFC 9457), or none at all. `status` 0: no connection. */
export class Unanswered extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** Whether asking again would change nothing. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && this.status !== 429;
  }
}

/** JSON from the API. `signal` ends the request when its page is left. */
export async function get(path, signal) {
  const response = await asked(path, signal);
  return response.json();
}

/** The same, or null where there is nothing. */
export async function find(path, signal) {
  try {
    return await get(path, signal);
  } catch (error) {
    if (error instanceof Unanswered && error.status === 404) return null;
    throw error;
  }
}

/** A response that is fine. */
export async function asked(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unanswered(0, "The backend cannot be reached.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Unanswered(response.status, problem.detail ?? `The backend answered ${response.status}.`);
}

const RETRY_S = [1, 2, 5, 10];

/** Calls until there is an answer: while the backend is away, with pauses. A 404 is an answer. */
export async function persistently(call, signal, tell) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Unanswered) || error.isFinal || signal.aborted) throw error;
      tell(error);
      await new Promise((wake) => setTimeout(wake, 1000 * RETRY_S[Math.min(attempt, RETRY_S.length - 1)]));
      if (signal.aborted) throw new DOMException("the page was left", "AbortError");
    }
  }
}
