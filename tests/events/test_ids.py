from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.ids import CycleId, EnvId, EpisodeKey, Uid, split_env_id

tokens = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
numbers = st.integers(min_value=0, max_value=2**63)


@given(numbers, numbers, tokens, tokens, numbers)
def test_an_episode_id_is_parsed_back(cycle: int, uid: int, family: str, task: str, index: int) -> None:
    key = EpisodeKey(CycleId(cycle), Uid(uid), EnvId(f"{family}/{task}"), index)
    assert EpisodeKey.parse(key.id) == key


def test_an_episode_id_reads_as_documented() -> None:
    assert EpisodeKey(CycleId(42), Uid(7), EnvId("metaworld/push-v3"), 0).id == "42.7.metaworld.push-v3.0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.metaworld.push-v3",
        "1.2.metaworld.push-v3.0.0",
        "x.2.metaworld.push-v3.0",
        "1.-2.metaworld.push-v3.0",
        "1.2.metaworld.push-v3.²",
        "1.2.meta world.push-v3.0",
        "1.2..push-v3.0",
    ],
)
def test_what_is_no_episode_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        EpisodeKey.parse(text)


def test_an_environment_id_is_split() -> None:
    assert split_env_id(EnvId("metaworld/push-v3")) == ("metaworld", "push-v3")


@pytest.mark.parametrize(
    "text", ["", "push-v3", "/push-v3", "metaworld/", "a/b/c", "a.b/c", "a/*", "a/b c", f"a/{'b' * 65}"]
)
def test_what_is_no_environment_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not family/task"):
        split_env_id(EnvId(text))
