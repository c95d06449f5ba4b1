"""Whether the backend's key has signed what is in the log: the announced keys, the end and the weights. Pure.

What a statement must say is made again from the events, by the code that made it for signing, and compared as text:
what was signed is exactly what follows, or it is another thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import cast

import orjson

from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.lines import Line
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from events.canonical import canonical
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.ids import Hotkey
from events.keys import is_signed
from events.metagraph import ChainTerms
from events.signed import KeyAnnounced, RootSigned, WeightsSigned
from events.statements import Document, History, key_document, root_document, weights_document
from events.weights import WeightsComputed

UNSIGNED = "not signed"
WAIT = "wait until the backend has signed it, or get it from somewhere else: this copy may have been stripped"
UNPINNED = "a key that the source itself names: keep it (GET /v1/identity), and pin it with --key"


def check_signature(fold: CycleFold, pinned: Hotkey | None) -> Verdict:
    """The signatures, by an announced key; where one is pinned, by it or a key that is bound to it.

    Who has no key can take signatures away, but not make others: what has none is not vouched for, and does not pass.
    """
    started = perf_counter()
    if (found := next(_differences(fold, pinned), None)) is not None:
        return Verdict.of(Name.SIGNATURE, found, "", perf_counter() - started)
    if (missing := next(_missing(fold, pinned), None)) is not None:
        detail = f"{UNSIGNED}: {missing}; {WAIT}"
        return Verdict(Name.SIGNATURE, False, detail, perf_counter() - started, missing)
    return Verdict(Name.SIGNATURE, True, _agreed(fold, pinned), perf_counter() - started)


def _differences(fold: CycleFold, pinned: Hotkey | None) -> Iterator[Difference]:
    if (story := fold.differences.get(Name.SIGNATURE)) is not None:
        yield story
    yield from _identity(fold)
    if (root := fold.one.get(RootSigned)) is not None:
        yield from _signed(root, _root_document(fold, root), fold, pinned)
    if (weights := fold.one.get(WeightsSigned)) is not None:
        yield from _signed(weights, _weights_document(fold), fold, pinned)


def _missing(fold: CycleFold, pinned: Hotkey | None) -> Iterator[Difference]:
    by = pinned or "the backend's key"
    if RootSigned not in fold.one:
        yield Difference("the signed root", f"the end of cycle {fold.cycle}, signed by {by}", "none")
    if WeightsSigned not in fold.one and WeightsComputed in fold.one:
        yield Difference("the signed weights", f"the weights of cycle {fold.cycle}, signed by {by}", "none")


def _identity(fold: CycleFold) -> Iterator[Difference]:
    """The keys, each announced by the one before."""
    previous: Hotkey | None = None
    for place, (line, announced) in enumerate(fold.keys, start=1):
        key, by = announced.signature.key, announced.previous
        expected = key_document(key, place, previous)
        if announced.ordinal != place or (by.key if by else None) != previous:
            named = f"key {announced.ordinal}, announced by {by.key if by else 'nobody'}"
            yield Difference(line.where, f"key {place}, announced by {previous or 'nobody'}", named)
        yield from _says(announced, expected, line)
        text = announced.statement.encode()
        if not is_signed(text, announced.signature) or (by and not is_signed(text, by)):
            yield Difference(line.where, f"a signature of key {place}, and of the one before it", "another")
        previous = key


def _signed(
    placed: Placed, expected: Document | None, fold: CycleFold, pinned: Hotkey | None
) -> Iterator[Difference]:
    event = cast("RootSigned | WeightsSigned", placed.recorded.event)
    line, key = placed.line, event.signature.key
    if expected is None:
        yield Difference(line.where, "nothing signed of what is not there", event.type)
        return
    yield from _says(event, expected, line)
    announced = [each.signature.key for at, each in fold.keys if at.number < line.number]
    bound = [each.signature.key for _, each in fold.keys]  # also later ones: each has signed which was before it
    if pinned is not None and pinned not in [*bound, key]:
        yield Difference(line.where, f"a signature of {pinned}", f"one of {key}")
    if key not in announced and key != pinned:
        yield Difference(line.where, f"a key that was announced: {', '.join(announced) or 'there is none'}", key)
    if not is_signed(event.statement.encode(), event.signature):
        yield Difference(line.where, f"a signature of {key} over the statement", "one that is not")


def _says(event: KeyAnnounced | RootSigned | WeightsSigned, expected: Document, line: Line) -> Iterator[Difference]:
    if event.statement == (text := canonical(expected).decode()):
        return
    try:
        said = orjson.loads(event.statement)
        name = next(name for name in expected if said.get(name, ...) != expected[name])
        yield Difference(f"{line.where}, {name}", _short(expected[name]), _short(said.get(name)))
    except (orjson.JSONDecodeError, AttributeError, StopIteration):
        yield Difference(f"{line.where}, the statement", text[:200], event.statement[:200])


def _short(value: object) -> str:
    return orjson.dumps(value).decode()[:200]


def _root_document(fold: CycleFold, signed: Placed) -> Document:
    placed = cast("Placed", fold.end)
    end = cast("CycleSealed | CycleAbandoned", placed.recorded.event)
    return root_document(end, _history_root(fold, placed.line.body, signed), _chain(fold))


def _history_root(fold: CycleFold, end: bytes, signed: Placed) -> str:
    """Of the first cycle it follows from its end; of a later one, from ends that are not here: as it was signed."""
    if fold.cycle == 1:
        history = History()
        history.add(1, end)
        return history.root
    try:
        said = orjson.loads(cast("RootSigned", signed.recorded.event).statement)["history_root"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        said = None
    return said if isinstance(said, str) else "64 hexadecimal digits"


def _weights_document(fold: CycleFold) -> Document | None:
    placed = fold.one.get(WeightsComputed)
    return None if placed is None else weights_document(cast("WeightsComputed", placed.recorded.event), _chain(fold))


def _chain(fold: CycleFold) -> ChainTerms | None:
    placed = fold.one.get(CyclePlanned)
    return None if placed is None else cast("CyclePlanned", placed.recorded.event).chain


def _agreed(fold: CycleFold, pinned: Hotkey | None) -> str:
    root = cast("RootSigned", fold.one[RootSigned].recorded.event)
    what = "root and weights" if WeightsSigned in fold.one else "the end, of which there are no weights"
    signed = f"{what}, by {root.signature.key}"
    return signed if pinned else f"{signed}; {UNPINNED}"
