// The event stream: each event once, in the order of the log, across disconnections and restarts of the backend.

import { Unanswered, asked } from "./api.js";

export const TYPES = {
  miners: ["kinitro.miner.discovered", "kinitro.miner.commitment_changed", "kinitro.miner.commitment_rejected", "kinitro.miner.departed"],
  cycles: ["kinitro.cycle.planned", "kinitro.cycle.metagraph", "kinitro.cycle.seeded", "kinitro.cycle.slots", "kinitro.cycle.sealed", "kinitro.cycle.abandoned"],
  episodes: ["kinitro.episode.completed", "kinitro.episode.forfeited", "kinitro.episode.abandoned", "kinitro.episode.attempt_failed"],
  checks: ["kinitro.verification.passed", "kinitro.verification.failed", "kinitro.verification.inconclusive", "kinitro.cycle.copies"],
  weights: ["kinitro.weights.computed", "kinitro.weights.withheld", "kinitro.shadow.scored"],
  evidence: ["kinitro.cycle.root_signed", "kinitro.weights.signed", "kinitro.cycle.root_anchored", "kinitro.identity.key_announced"],
  others: ["kinitro.rules.announced", "kinitro.discovery.degraded", "kinitro.discovery.restored"],
};
export const ALL_TYPES = Object.values(TYPES).flat();

const AGAIN_S = [1, 2, 5, 10];
const BEYOND_THE_LOG = 409;
const DRAW_MS = 100, DRAW_UNSEEN_MS = 1000;

/**
 * Follows the log after sequence `after` (null: from now on).
 *
 * `take(events)` gets what has come since it was last called, {sequence, ...the event}, so that a flood of events costs
 * ten drawings a second. With no events it is told that some may have been missed before: `after` is null, or the log
 * is another one. `state` is told "live" or "away", and `refused` why this can never be followed.
 */
export function follow({ after = null, filters = {}, types = ALL_TYPES, take, state, refused = console.error }, signal) {
  let source = null, seen = after, waiting = [], attempts = 0, frame = 0;

  function deliver() {
    frame = 0;
    const batch = waiting;
    waiting = [];
    if (!signal.aborted) take(batch);
  }

  function arrived(message) {
    const sequence = Number(message.lastEventId);
    if (seen !== null && sequence <= seen) return;
    seen = sequence;
    waiting.push({ sequence, ...JSON.parse(message.data) });
    // A page in the background draws nothing, and must not collect for ever: so a timer, not an animation frame.
    if (!frame) frame = setTimeout(deliver, document.hidden ? DRAW_UNSEEN_MS : DRAW_MS);
  }

  function later() {
    setTimeout(() => signal.aborted || open(), 1000 * AGAIN_S[Math.min(attempts++, AGAIN_S.length - 1)]);
  }

  /** Only another request tells why the browser gives up. */
  async function ask(url) {
    try {
      (await asked(url, signal)).body.cancel();
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      if (error.status === BEYOND_THE_LOG) seen = null;
      else if (error.isFinal) return refused(error);
    }
    later();
  }

  function open() {
    const query = new URLSearchParams(Object.entries(filters));
    if (types !== ALL_TYPES) for (const type of types) query.append("type", type);
    if (seen !== null) query.set("from_seq", seen + 1);
    source = new EventSource(`/v1/events/stream?${query}`);
    source.onopen = () => {
      attempts = 0;
      state("live");
      if (after === null || seen === null) take([]);
    };
    source.onerror = () => {
      if (signal.aborted) return;
      state("away");
      // The browser tries again by itself unless it was answered with an error: then it is for us to.
      if (source.readyState === EventSource.CLOSED) ask(source.url).catch((error) => { if (error.name !== "AbortError") throw error; });
    };
    for (const type of types) source.addEventListener(type, arrived);
    // This copy of the API ends the stream, and says so; another one, or the same later, goes on with it.
    source.addEventListener("kinitro.stream.ended", () => { source.close(); state("away"); later(); });
  }

  signal.addEventListener("abort", () => { source?.close(); clearTimeout(frame); state("idle"); });
  open();
}
