"""Who is checked, and with what: derived from the cycle's seed alone."""

import hashlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.draws import Candidate, Recording, comparison_seed, drawn, is_drawn, probes, witnesses
from events.ids import CycleId, EnvId, Hotkey, Uid
from events.seeds import SeedMaterial

MATERIAL = SeedMaterial(bytes(range(32)), bytes(range(32, 64)), CycleId(7))
MINERS = [Candidate(Uid(uid), Hotkey(f"hotkey-{uid}")) for uid in range(4000)]
RECORDINGS = [
    Recording(EnvId("metaworld/push-v3"), index, Uid(uid), steps=1 + index) for index in range(20) for uid in range(3)
]
ME = MINERS[3]
RATE = Decimal("0.05")
RATES = st.decimals(0, 1, places=6)


def other(cycle: int) -> SeedMaterial:
    return SeedMaterial(MATERIAL.secret, MATERIAL.block_hash, CycleId(cycle))


def test_as_many_are_drawn_as_the_rate_says() -> None:
    count = len(drawn(MATERIAL, MINERS, RATE))
    assert 145 <= count <= 255  # 200 expected, four standard deviations


def test_nobody_is_drawn_at_rate_0_and_everybody_at_rate_1() -> None:
    assert drawn(MATERIAL, MINERS, Decimal(0)) == ()
    assert drawn(MATERIAL, MINERS, Decimal(1)) == tuple(MINERS)


@given(st.sets(st.integers(0, 3999)), RATES)
def test_who_else_is_there_changes_nothing(there: set[int], rate: Decimal) -> None:
    few = drawn(MATERIAL, [MINERS[uid] for uid in there], rate)
    assert few == tuple(miner for miner in MINERS if miner.uid in there and is_drawn(MATERIAL, miner, rate))


@given(RATES, RATES)
def test_a_higher_rate_draws_all_of_a_lower(one: Decimal, two: Decimal) -> None:
    assert set(drawn(MATERIAL, MINERS[:50], min(one, two))) <= set(drawn(MATERIAL, MINERS[:50], max(one, two)))


def test_another_cycle_draws_others() -> None:
    assert drawn(other(8), MINERS, RATE) != drawn(MATERIAL, MINERS, RATE)


def test_the_draw_is_as_documented() -> None:
    miner = (3).to_bytes(8, "big") + (8).to_bytes(2, "big") + b"hotkey-3"
    text = b"kinitro/verification-draw/1\x00" + bytes(range(64)) + (7).to_bytes(8, "big") + miner
    share = Decimal(int.from_bytes(hashlib.sha256(text).digest()[:8], "big")) / 2**64
    assert not is_drawn(MATERIAL, ME, share - Decimal("1e-18"))
    assert is_drawn(MATERIAL, ME, share + Decimal("1e-18"))


@given(st.permutations(RECORDINGS))
def test_the_order_of_the_recordings_changes_no_probe(recordings: list[Recording]) -> None:
    assert probes(MATERIAL, ME, recordings, 5) == probes(MATERIAL, ME, RECORDINGS, 5)


def test_each_probe_is_a_step_of_another_recording() -> None:
    chosen = probes(MATERIAL, ME, RECORDINGS, 60)
    assert len({each.recording for each in chosen}) == 60
    assert all(0 <= each.step < each.recording.steps for each in chosen)


def test_probes_are_as_many_as_there_are_recordings_at_most() -> None:
    assert len(probes(MATERIAL, ME, RECORDINGS[:2] * 2, 5)) == 2


def test_two_miners_meet_different_probes() -> None:
    assert probes(MATERIAL, ME, RECORDINGS, 5) != probes(MATERIAL, MINERS[4], RECORDINGS, 5)


def test_probes_are_of_ones_own_episodes_and_of_others_in_turn() -> None:
    of = [each.recording.uid == 1 for each in probes(MATERIAL, MINERS[1], RECORDINGS, 20)]
    assert of == [True, False] * 10


def test_who_has_no_episode_is_probed_with_others() -> None:
    assert {each.recording.uid for each in probes(MATERIAL, ME, RECORDINGS, 20)} == {0, 1, 2}


def test_the_comparison_has_a_seed_of_its_own() -> None:
    assert comparison_seed(MATERIAL, ME) != comparison_seed(MATERIAL, MINERS[4])


def test_witnesses_are_other_miners_and_others_for_each() -> None:
    uids = [it.uid for it in MINERS[:100]]
    chosen = [witnesses(MATERIAL, it, uids) for it in MINERS[:100]]
    assert all(it.uid not in three and len(set(three)) == 3 for it, three in zip(MINERS, chosen, strict=False))
    assert len(set(chosen)) > 90
    assert witnesses(MATERIAL, ME, reversed(uids)) == witnesses(MATERIAL, ME, uids)
    assert witnesses(MATERIAL, ME, [ME.uid]) == ()


def test_no_probes_are_refused() -> None:
    with pytest.raises(ValueError, match="probes: expected 1 or more, got 0"):
        probes(MATERIAL, ME, RECORDINGS, 0)


def test_an_empty_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 step or more, got 0"):
        Recording(EnvId("metaworld/push-v3"), 0, Uid(0), steps=0)
