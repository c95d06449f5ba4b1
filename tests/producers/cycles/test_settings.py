"""What settings are refused, and that they keep the key to themselves."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from events.ids import EnvId
from producers.cycles.settings import SchedulerSettings
from tests.producers.driving import MASTER_KEY, settings


def changed(**fields: object) -> SchedulerSettings:
    return SchedulerSettings.model_validate({**dict(settings()), **fields})


def test_profiles_that_show_the_simulators_state_are_refused_on_mainnet() -> None:
    with pytest.raises(
        ValidationError, match=r"'state/1' shows policies the simulator's state.* on network 'finney'"
    ):
        changed(network="finney")


def test_camera_profiles_are_allowed_on_mainnet() -> None:
    terms = settings().terms.model_copy(update={"observation_profile": "rgb84/1"})
    assert changed(network="finney", terms=terms).network == "finney"


@pytest.mark.parametrize(
    ("environments", "reason"),
    [
        ((), "at least 1 item"),
        ((EnvId("reach"),), "is not family/task"),
        ((EnvId("metaworld/reach-v3"), EnvId("metaworld/reach-v3")), "named twice: metaworld/reach-v3"),
    ],
)
def test_bad_environments_are_refused(environments: tuple[EnvId, ...], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        changed(environments=environments)


def test_a_short_key_is_refused_and_not_shown() -> None:
    key = b"short but secret"
    with pytest.raises(ValidationError, match="at least 32 bytes") as refused:
        changed(master_key=key)
    assert key.decode() not in str(refused.value)


def test_no_error_shows_the_key() -> None:
    with pytest.raises(ValidationError) as refused:
        changed(network="finney", master_key=b"k" * 32)
    assert "kkk" not in str(refused.value)


def test_the_key_is_not_in_the_representation() -> None:
    assert repr(MASTER_KEY)[2:-1] not in repr(settings())
    assert "master_key" not in repr(settings())
