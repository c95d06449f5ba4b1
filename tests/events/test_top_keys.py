"""Keys, as terminals send them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from events.top.terminal import KEYS, Key, Keyboard

SENT = st.lists(st.sampled_from(sorted(KEYS)), max_size=20)


@given(SENT, st.lists(st.integers(0, 60)))
def test_keys_are_the_same_however_the_bytes_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    whole, keyboard = b"".join(sent), Keyboard()
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]
    assert [key for piece in pieces for key in keyboard.take(piece)] == [KEYS[key] for key in sent]


def test_other_keys_do_nothing() -> None:
    assert Keyboard().take(b"x\x1b[15~\x1b[1;5C\xc3\xa9q") == [Key.QUIT]


def test_escape_alone_does_not_swallow_the_next_key() -> None:
    keyboard = Keyboard()
    assert keyboard.take(b"\x1b") == []
    assert keyboard.take(b"q") == [Key.QUIT]
