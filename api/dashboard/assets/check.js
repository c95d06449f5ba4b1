// A cycle's evidence, checked where it is read: in the browser, from the exported bytes.

import { asked } from "./api.js";
import { MerkleTree, hex, sha256, unhex } from "./merkle.js";

const PAUSE_EVERY_MS = 40;

/** The lines of an export, as bytes, as they arrive. */
async function* lines(response) {
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const piece = new Uint8Array(rest.length + value.length);
    piece.set(rest);
    piece.set(value, rest.length);
    let start = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
      yield piece.subarray(start, end);
      start = end + 1;
    }
    rest = piece.slice(start);
  }
}

/**
 * Whether the events of a sealed cycle are those that its seal speaks of. Returns [what, same, detail] each.
 *
 * The export's own root, the tree under the seal, one outcome for each planned episode, and the secret that the plan
 * committed to. Signatures and weights are for `kinitro audit cycle`.
 */
export async function checkCycle(id, signal, progress) {
  const response = await asked(`/v1/cycles/${id}/events`, signal);
  const all = new MerkleTree(), tree = new MerkleTree(), text = new TextDecoder();
  const outcomes = new Set(), counts = { completed: 0, forfeited: 0, abandoned: 0 };
  let plan = null, seal = null, trailer = null, paused = performance.now();
  for await (const line of lines(response)) {
    const event = JSON.parse(text.decode(line));
    if (event.kinitro_trailer) {
      trailer = event.kinitro_trailer;
      continue;
    }
    all.add(line);
    if (event.type === "kinitro.cycle.planned") plan = event.data;
    const kind = event.type.startsWith("kinitro.episode.") ? event.type.split(".")[2] : null;
    if (event.type === "kinitro.cycle.sealed") seal = event.data;
    else if (!seal && event.subject.startsWith(`evt.cycle.${id}.`)) {
      tree.add(line);
      if (kind in counts) {
        counts[kind] += 1;
        outcomes.add(event.subject);
      }
    }
    if (performance.now() - paused > PAUSE_EVERY_MS) {
      progress(all.size);
      await new Promise((wake) => setTimeout(wake));
      paused = performance.now();
    }
  }
  if (!plan || !seal) return [["seal", false, "the export has no plan, or no seal"]];
  const planned = plan.roster.length * plan.environments.length * plan.episodes_per_environment;
  const told = Object.values(seal.outcomes).reduce((sum, each) => sum + each, 0);
  const secret = hex(sha256(unhex(seal.secret)));
  return [
    ["export", trailer !== null && trailer.count === all.size && trailer.root === all.root(), `${all.size} events, whole and as sent`],
    ["root", tree.size === seal.tree_size && tree.root() === seal.merkle_root, `${tree.root()} over ${tree.size} events`],
    ["outcomes", outcomes.size === planned && told === planned && Object.keys(counts).every((name) => counts[name] === seal.outcomes[name]), `${outcomes.size} for ${planned} planned episodes`],
    ["secret", secret === plan.secret_commitment, "it is the one to which the plan committed"],
  ];
}
