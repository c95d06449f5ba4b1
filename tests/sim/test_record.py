"""What is kept of an episode comes back as it was, and anything else is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from sim.errors import InvalidTrace
from sim.record import RECORD_BYTES_MAX, Record, decode_record, encode_record
from sim.trace import CHECKPOINT_BYTES, CHECKPOINT_STEPS, Track, encode_trace


def record(steps: int = 60) -> Record:
    random = np.random.default_rng(7)
    actions = random.uniform(-1, 1, (steps, 4)).astype(np.float32)
    checkpoints = tuple(random.bytes(CHECKPOINT_BYTES).hex() for _ in range(1 + steps // CHECKPOINT_STEPS))
    return Record(
        trace=encode_trace(actions),
        track=Track(tuple(random.normal(size=steps).tolist()), checkpoints),
        variation={"rand_vec_0": 0.1 + 0.2},
        about={"episode": "1.0.metaworld.push-v3.0", "attempt": 2},
    )


@pytest.mark.parametrize("steps", [0, 1, 24, 25, 500])
def test_a_record_survives_encoding(steps: int) -> None:
    assert decode_record(encode_record(record(steps))) == record(steps)


def test_the_parts_are_where_the_format_says() -> None:
    it = record(60)
    head, rest = zlib.decompress(encode_record(it)).split(b"\n", 1)
    assert head.startswith(b'{"format":"kinitro-trace/1"')
    assert rest.startswith(it.trace)
    rewards = rest[len(it.trace) : len(it.trace) + 60 * 8]
    assert np.frombuffer(rewards, "<f8").tolist() == list(it.track.rewards)
    assert rest[len(it.trace) + 60 * 8 :].hex() == "".join(it.track.checkpoints)


def _with_head(head: bytes, rest: bytes = b"") -> bytes:
    return zlib.compress(head + b"\n" + rest)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"no zlib",
        encode_record(record())[:-1],
        _with_head(b"no JSON"),
        _with_head(b"[]"),
        _with_head(b'{"format":"kinitro-trace/9"}'),
        _with_head(b'{"format":"kinitro-trace/1","steps":-1,"trace_bytes":0,"checkpoint_steps":25}'),
        _with_head(
            b'{"format":"kinitro-trace/1","steps":1,"trace_bytes":0,"checkpoint_steps":25,"variation":{},"about":{}}'
        ),
        zlib.compress(bytes(RECORD_BYTES_MAX + 1)),
    ],
)
def test_what_is_no_record_is_refused(broken: bytes) -> None:
    with pytest.raises(InvalidTrace):
        decode_record(broken)
