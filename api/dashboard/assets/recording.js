// What a worker kept of an episode (`sim/record.py`): a zlib stream of a head, the actions, the rewards, checkpoints.

/** {head, rewards: Float64Array} of a recording's bytes. */
export async function decoded(body) {
  const stream = new Blob([body]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const end = bytes.indexOf(10);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const view = new DataView(bytes.buffer, end + 1 + head.trace_bytes);
  const rewards = Float64Array.from({ length: head.steps }, (_, step) => view.getFloat64(8 * step, true));
  return { head, rewards };
}
