// The event stream: each event once, in the order of the log, across disconnections and restarts of the backend.

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

/**
 * Follows the log after sequence `after` (null: from now on).
 *
 * `take(events)` gets what has come since the last frame that was drawn, {sequence, ...the event}, so that a flood of
 * events costs one drawing each frame. `state` is told "live" or "away".
 */
export function follow({ after = null, filters = {}, types = ALL_TYPES, take, state }, signal) {
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
    if (!frame) frame = setTimeout(deliver, document.hidden ? 1000 : 50);
  }

  function later() {
    setTimeout(() => signal.aborted || open(), 1000 * AGAIN_S[Math.min(attempts++, AGAIN_S.length - 1)]);
  }

  function open() {
    const query = new URLSearchParams(Object.entries(filters));
    if (types !== ALL_TYPES) for (const type of types) query.append("type", type);
    if (seen !== null) query.set("from_seq", seen + 1);
    source = new EventSource(`/v1/events/stream?${query}`);
    source.onopen = () => { attempts = 0; state("live"); };
    source.onerror = () => {
      if (signal.aborted) return;
      state("away");
      // The browser tries again by itself unless it was answered with an error: then it is for us to.
      if (source.readyState !== EventSource.CLOSED) return;
      later();
    };
    for (const type of types) source.addEventListener(type, arrived);
    // This copy of the API ends the stream, and says so; another one, or the same later, goes on with it.
    source.addEventListener("kinitro.stream.ended", () => { source.close(); state("away"); later(); });
  }

  signal.addEventListener("abort", () => { source?.close(); clearTimeout(frame); state("idle"); });
  open();
}
