"""What is kept of an episode so that anybody can run it again: who and what, the trace, and the track.

Record bytes, version 1: a zlib stream of

    head         one line of JSON, ended by a line feed
    trace        `sim.trace`: the native actions
    rewards      steps x little-endian float64
    checkpoints  (1 + steps // 25) x the first 8 bytes of a state's SHA-256

The head says how long each part is, and the digest of the first pictures, where there were any. It never holds the
seed or the policy's endpoint. Numbers of physics hardly compress: zlib takes 5-30% off, in 0.1 ms; the head it
halves.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.errors import InvalidTrace
from sim.trace import CHECKPOINT_BYTES, CHECKPOINT_STEPS, Track, decode_trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT = "kinitro-trace/1"
RECORD_BYTES_MAX = 16 * 1024 * 1024
"""Inflated: a record from a stranger must not fill the memory of whoever looks at it."""
LITTLE_FLOAT64 = np.dtype("<f8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One attempt at an episode, as it was run."""

    trace: bytes
    """`sim.trace.encode_trace` of the native actions."""
    track: Track
    variation: Mapping[str, float]
    """What was sampled from the seed, by name."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else its reader should know, as JSON: which episode, under which terms."""

    @property
    def actions(self) -> NDArray[np.float32]:
        """Shape (steps, action size)."""
        return decode_trace(self.trace)


def encode_record(record: Record) -> bytes:
    """See the module."""
    head = {
        "format": FORMAT,
        "trace_bytes": len(record.trace),
        "steps": len(record.track.rewards),
        "checkpoint_steps": CHECKPOINT_STEPS,
        "pictures": record.track.pictures,
        "variation": dict(record.variation),
        "about": dict(record.about),
    }
    rewards = np.array(record.track.rewards, LITTLE_FLOAT64).tobytes()
    checkpoints = bytes.fromhex("".join(record.track.checkpoints))
    line = json.dumps(head, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    return zlib.compress(line + record.trace + rewards + checkpoints)


def decode_record(body: bytes) -> Record:
    """The inverse of `encode_record`.

    Raises:
        InvalidTrace: not a record of version 1, damaged or cut off.
    """
    line, _, rest = _inflated(body).partition(b"\n")
    head = _head(line)
    steps, trace_bytes = head["steps"], head["trace_bytes"]
    ends = [trace_bytes, trace_bytes + steps * LITTLE_FLOAT64.itemsize]
    ends.append(ends[1] + (1 + steps // CHECKPOINT_STEPS) * CHECKPOINT_BYTES)
    if len(rest) != ends[2]:
        raise InvalidTrace(f"a record of {steps} steps has {ends[2]} bytes after its head, got {len(rest)}")
    trace, rewards, checkpoints = rest[: ends[0]], rest[ends[0] : ends[1]], rest[ends[1] :].hex()
    if len(decode_trace(trace)) != steps:
        raise InvalidTrace(f"the record has {steps} rewards, but {len(decode_trace(trace))} actions")
    digits = 2 * CHECKPOINT_BYTES
    track = Track(
        tuple(np.frombuffer(rewards, LITTLE_FLOAT64).tolist()),
        tuple(checkpoints[start : start + digits] for start in range(0, len(checkpoints), digits)),
        str(head.get("pictures", "")),  # older records lack it
    )
    return Record(trace=trace, track=track, variation=head["variation"], about=head["about"])


def _inflated(body: bytes) -> bytes:
    inflating = zlib.decompressobj()
    try:
        inflated = inflating.decompress(body, RECORD_BYTES_MAX)
    except zlib.error as error:
        raise InvalidTrace(f"not a record: expected a zlib stream, got {body[:8]!r} ({error})") from error
    if not inflating.eof:
        raise InvalidTrace(f"a record is cut off, or longer than {RECORD_BYTES_MAX} bytes")
    return inflated


def _head(line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except ValueError as error:
        raise InvalidTrace(f"not a record: its first line is not JSON: {line[:40]!r}") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise InvalidTrace(f"not a record of format {FORMAT}: {line[:60]!r}")
    sizes = (head.get("steps"), head.get("trace_bytes"))
    is_sized = all(isinstance(size, int) and size >= 0 for size in sizes)
    if not is_sized or head.get("checkpoint_steps") != CHECKPOINT_STEPS:
        raise InvalidTrace(f"a record whose head does not say its sizes: {line[:120]!r}")
    if not all(isinstance(head.get(name), dict) for name in ("variation", "about")):
        raise InvalidTrace(f"a record whose head names no variation: {line[:120]!r}")
    return head
