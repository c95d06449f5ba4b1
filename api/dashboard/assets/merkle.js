// SHA-256 (FIPS 180-4) and the tree of RFC 6962, so that a browser can check what it was told. Written out, because
// `crypto.subtle` exists on secure pages only, and an operator's first look is at http.

// The constants are the first 32 bits of the fractional parts of roots of the first primes, as the standard makes them.
const PRIMES = [];
for (let candidate = 2; PRIMES.length < 64; candidate += 1) if (PRIMES.every((prime) => candidate % prime)) PRIMES.push(candidate);
const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
const BEGIN = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const ROUNDS = PRIMES.map((prime) => fraction(Math.cbrt(prime)));

const turned = (word, by) => (word >>> by) | (word << (32 - by));
const words = new Int32Array(64);

function compress(state, view, offset) {
  for (let t = 0; t < 16; t += 1) words[t] = view.getInt32(offset + 4 * t);
  for (let t = 16; t < 64; t += 1) {
    const a = words[t - 15], b = words[t - 2];
    words[t] = words[t - 16] + (turned(a, 7) ^ turned(a, 18) ^ (a >>> 3)) + words[t - 7] + (turned(b, 17) ^ turned(b, 19) ^ (b >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t += 1) {
    const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[t] + words[t]) | 0;
    const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((value, place) => { state[place] = (state[place] + value) | 0; });
}

/** The 32-byte digest of all parts one after the other. */
export function sha256(...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const padded = new Uint8Array(((length + 72) >> 6) << 6), view = new DataView(padded.buffer);
  let at = 0;
  for (const part of parts) { padded.set(part, at); at += part.length; }
  padded[length] = 0x80;
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length * 8) >>> 0);
  const state = Int32Array.from(BEGIN);
  for (let offset = 0; offset < padded.length; offset += 64) compress(state, view, offset);
  const digest = new Uint8Array(32), out = new DataView(digest.buffer);
  state.forEach((value, place) => out.setInt32(4 * place, value));
  return digest;
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const LEAF = Uint8Array.of(0), NODE = Uint8Array.of(1);

/** Grows leaf by leaf, and keeps one hash for each complete subtree. */
export class MerkleTree {
  size = 0;
  #peaks = [];

  add(leaf) {
    this.size += 1;
    let width = 1, node = sha256(LEAF, leaf);
    while (this.#peaks.at(-1)?.width === width) {
      node = sha256(NODE, this.#peaks.pop().node, node);
      width *= 2;
    }
    this.#peaks.push({ width, node });
  }

  root() {
    if (!this.size) return hex(sha256());
    return hex(this.#peaks.map((peak) => peak.node).reduceRight((right, left) => sha256(NODE, left, right)));
  }
}
