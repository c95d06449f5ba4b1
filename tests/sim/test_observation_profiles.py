from __future__ import annotations

import pytest

from sim.cameras import PROFILES, REPLAY_1, RGB84_1, STATE_1, Camera, ObservationProfile, find_profile
from sim.errors import UnknownProfile


def test_profiles_are_found_by_name() -> None:
    assert find_profile("state/1") is STATE_1
    with pytest.raises(UnknownProfile, match="rgb84/1"):
        find_profile("rgb84/9")


def test_a_version_once_used_is_never_changed() -> None:
    """Whoever has to change this line gives the profile a new name instead."""
    agreed = ObservationProfile(
        name="rgb84/1",
        cameras=(Camera("corner", 30.0), Camera("corner2", 35.0)),
        image_size_px=84,
        supersampling=2,
        mesh_cell_m=0.01,
        texture_px_max=256,
        tessellation=(20, 10, 2),
        shadow_map_px=0,
        reflections=False,
        static_background=True,
        full_state=False,
    )
    assert agreed == RGB84_1


def test_no_plan_can_ask_for_a_replay() -> None:
    assert REPLAY_1.name not in PROFILES


@pytest.mark.parametrize("moving_light", [{"shadow_map_px": 512}, {"reflections": True}])
def test_a_static_background_refuses_what_would_move_on_it(moving_light: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="static background"):
        ObservationProfile("bad/1", image_size_px=84, static_background=True, **moving_light)  # type: ignore[arg-type]


def test_cameras_need_a_size() -> None:
    with pytest.raises(ValueError, match="image_size_px"):
        ObservationProfile("bad/1", (Camera("corner", 30.0),))


@pytest.mark.parametrize("supersampling", [0, 17])
def test_supersampling_has_bounds(supersampling: int) -> None:
    with pytest.raises(ValueError, match="1 to 16"):
        ObservationProfile("bad/1", supersampling=supersampling)
