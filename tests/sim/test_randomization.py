"""What is drawn, that it acts by the laws of physics, and that it leaves nothing behind."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.ids import EnvId, Seed
from events.variation import NO_VARIATION, STANDARD, VariationRanges
from sim.cameras import UNSEEN
from sim.metaworld.environment import MetaWorldEnvironment
from sim.randomization import Randomizer, symmetric_factor
from sim.suite import DEFAULT_ENVIRONMENTS

WIDE = VariationRanges(
    name="wide",
    friction_factor=4.0,
    damping_factor=10.0,
    mass_factor=10.0,
    light_factor=10.0,
    light_shift_m=1.0,
    field_of_view_factor=1.5,
)
SEEDS = [Seed(1), Seed(2), Seed(2**64 - 1)]
"""The first draws a friction factor below 1, the others above."""

WORKSHOP = """
<mujoco>
  <option timestep="0.001" cone="elliptic"/>
  <worldbody>
    <light name="lamp" pos="0 0 2" dir="0 0 -1"/>
    <light name="sun" directional="true" dir="0 0 -1"/>
    <camera name="side" pos="0 -2 1" fovy="40"/>
    <camera pos="0 2 1" fovy="50"/>
    <geom type="plane" size="20 20 1" friction="0.5 0.005 0.0001"/>
    <body name="box" pos="0 0 0.05">
      <freejoint/><geom type="box" size="0.1 0.1 0.05" friction="0.1 0 0" mass="1"/>
    </body>
    <body name="cart" pos="0 5 1">
      <joint name="rail" type="slide" axis="1 0 0" damping="2"/><geom type="sphere" size="0.1" mass="1"/>
    </body>
    <body name="arm" pos="0 9 1">
      <joint name="shoulder" type="hinge" axis="1 0 0" damping="1"/><geom type="sphere" size="0.1" mass="3"/>
      <body name="finger" pos="0 0 0.3">
        <joint type="slide" damping="1"/><geom type="sphere" size="0.1" mass="2"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
GRAVITY = 9.81


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(WORKSHOP)


def everything(model: mujoco.MjModel) -> dict[str, bytes]:
    """Every number of a model."""
    arrays = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    statistics = {f"stat.{name}": np.array(getattr(model.stat, name)) for name in dir(model.stat) if name[0] != "_"}
    headlight = {name: getattr(model.vis.headlight, name) for name in ("ambient", "diffuse", "specular")}
    numbers = {**arrays, **statistics, **headlight}
    return {name: value.tobytes() for name, value in numbers.items() if isinstance(value, np.ndarray)}


def only(**ranges: float) -> VariationRanges:
    return VariationRanges(name="one", **ranges)


# What is drawn.


def test_the_draws_of_a_seed_are_these_for_ever(model: mujoco.MjModel) -> None:
    assert Randomizer(model, STANDARD).apply(Seed(7)) == {
        "friction_factor": 1.0973476922691552,
        "damping_factor": 1.277202196699856,
        "mass_factor": 1.0615876577778043,
        "light_0_brightness_factor": 0.6751407411689639,
        "light_0_shift_x_m": 0.00563744828409396,
        "light_0_shift_y_m": -0.14682431992009737,
        "light_0_shift_z_m": 0.001883791127162482,
        "light_1_brightness_factor": 0.8456985525541829,
        "light_1_shift_x_m": 0.03991020420935021,
        "light_1_shift_y_m": 0.09354053207078544,
        "light_1_shift_z_m": -0.034309846239566615,
        "headlight_brightness_factor": 0.7554822701695781,
        "camera_side_fov_factor": 1.0495026525689324,
        "camera_1_fov_factor": 1.0093489079319997,
    }


def test_a_draw_can_be_derived_by_hand(model: mujoco.MjModel) -> None:
    third = int(np.random.PCG64(np.random.SeedSequence([7, 0xD0])).random_raw(3)[2])
    unit = (third >> 11) / 2**52 - 1
    assert unit != 0
    expected = 1 + unit * 0.5 if unit > 0 else 1 / (1 - unit * 0.5)
    assert Randomizer(model, only(mass_factor=1.5)).apply(Seed(7)) == {"mass_factor": expected}


@pytest.mark.parametrize("field", [name for name in VariationRanges.model_fields if name != "name"])
def test_another_range_moves_no_other_draw(model: mujoco.MjModel, field: str) -> None:
    drawn = Randomizer(model, WIDE).apply(Seed(7))
    unvaried = getattr(NO_VARIATION, field)
    without = Randomizer(model, WIDE.model_copy(update={field: unvaried})).apply(Seed(7))
    assert 0 < len(without) < len(drawn)
    assert without.items() < drawn.items()


def test_seeds_draw_differently(model: mujoco.MjModel) -> None:
    randomizer = Randomizer(model, STANDARD)
    assert len({randomizer.apply(Seed(seed))["mass_factor"] for seed in range(100)}) == 100


@given(unit=st.floats(0.0, 1.0), largest=st.floats(1.0, 10.0))
def test_a_factor_stays_in_its_range_and_mirrors(unit: float, largest: float) -> None:
    above, below = symmetric_factor(unit, largest), symmetric_factor(-unit, largest)
    assert 1.0 <= above <= largest * (1 + 1e-15)
    assert below == pytest.approx(1.0 / above, rel=1e-15)


# What is left behind.


@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_no_variation_changes_no_bit_of_the_model(env: EnvId) -> None:
    environment = MetaWorldEnvironment(env, UNSEEN, max_steps=10)
    before = everything(environment._model)
    environment.reset(Seed(1))  # the task moves its bodies: constants derived from there would differ
    assert environment._randomizer.apply(Seed(2)) == {}
    assert everything(environment._model) == before


@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_everything_that_was_varied_is_undone_to_the_bit(env: EnvId) -> None:
    environment = MetaWorldEnvironment(env, UNSEEN, max_steps=10, variation=WIDE)
    before = everything(environment._model)
    for seed in SEEDS:
        environment.reset(seed)
        assert everything(environment._model) != before
    environment._randomizer.restore()
    assert everything(environment._model) == before


def test_statistics_that_a_model_states_itself_stay() -> None:
    stated = WORKSHOP.replace("<worldbody>", '<statistic meaninertia="5" extent="3" center="1 2 3"/><worldbody>')
    model = mujoco.MjModel.from_xml_string(stated)
    before = everything(model)
    Randomizer(model, NO_VARIATION).apply(Seed(1))
    assert everything(model) == before


def test_a_robot_keeps_its_mass_and_damping(model: mujoco.MjModel) -> None:
    before = mujoco.MjModel.from_xml_string(WORKSHOP)
    Randomizer(model, WIDE, robot=("arm",)).apply(Seed(1))
    changed = [model.body(i).name for i in range(model.nbody) if model.body_mass[i] != before.body_mass[i]]
    assert changed == ["box", "cart"]
    dofs = np.flatnonzero(model.dof_damping != before.dof_damping)
    assert [model.body(model.dof_bodyid[dof]).name for dof in dofs] == ["cart"]


def test_what_follows_from_a_mass_is_as_if_the_model_had_been_compiled_with_it(model: mujoco.MjModel) -> None:
    factor = Randomizer(model, only(mass_factor=3.0)).apply(Seed(1))["mass_factor"]
    heavier = WORKSHOP
    for mass in (1, 2, 3):
        heavier = heavier.replace(f'mass="{mass}"', f'mass="{mass * factor!r}"')
    compiled = mujoco.MjModel.from_xml_string(heavier)
    for name in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
        assert getattr(model, name) == pytest.approx(getattr(compiled, name), rel=1e-9), name


# What it does.


@pytest.mark.parametrize("seed", SEEDS)
def test_a_box_slides_as_far_as_the_drawn_friction_lets_it(model: mujoco.MjModel, seed: Seed) -> None:
    """Over a floor rougher than itself, where the friction of the box alone would decide nothing."""
    factor = Randomizer(model, only(friction_factor=2.0)).apply(seed)["friction_factor"]
    speed = 2.0
    data = mujoco.MjData(model)
    settle(model, data, 100)
    start = float(data.joint(0).qpos[0])
    data.joint(0).qvel[0] = speed
    settle(model, data, 1500)
    assert data.joint(0).qvel[0] == pytest.approx(0, abs=1e-3)
    slid = float(data.joint(0).qpos[0]) - start
    assert slid == pytest.approx(speed**2 / (2 * 0.5 * factor * GRAVITY), rel=0.03)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_joint_slows_down_by_the_drawn_damping(model: mujoco.MjModel, seed: Seed) -> None:
    factor = Randomizer(model, only(damping_factor=3.0)).apply(seed)["damping_factor"]
    data = mujoco.MjData(model)
    data.joint("rail").qvel[0] = 1.0
    settle(model, data, 500)
    assert data.joint("rail").qvel[0] == pytest.approx(np.exp(-2.0 * factor * 0.5), rel=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_force_moves_a_body_by_the_drawn_mass(model: mujoco.MjModel, seed: Seed) -> None:
    model.dof_damping[:] = 0.0
    factor = Randomizer(model, only(mass_factor=3.0)).apply(seed)["mass_factor"]
    data = mujoco.MjData(model)
    data.body("cart").xfrc_applied[0] = 1.0
    settle(model, data, 500)
    assert data.joint("rail").qvel[0] == pytest.approx(0.5 / factor, rel=1e-6)


def settle(model: mujoco.MjModel, data: mujoco.MjData, steps: int) -> None:
    for _ in range(steps):
        mujoco.mj_step(model, data)


def test_a_lamp_is_moved_and_a_light_without_a_place_turned(model: mujoco.MjModel) -> None:
    drawn = Randomizer(model, only(light_shift_m=0.2)).apply(Seed(3))
    lamp, sun = ([drawn[f"light_{i}_shift_{axis}_m"] for axis in "xyz"] for i in (0, 1))
    assert np.abs([lamp, sun]).max() <= 0.2
    assert model.light("lamp").pos == pytest.approx(np.add([0, 0, 2], lamp))
    assert model.light("lamp").dir == pytest.approx([0, 0, -1])
    assert model.light("sun").pos == pytest.approx(mujoco.MjModel.from_xml_string(WORKSHOP).light("sun").pos)
    assert model.light("sun").dir == pytest.approx(np.subtract([0, 0, -1], sun))


def test_a_light_is_dimmed_and_brightened_but_never_beyond_full(model: mujoco.MjModel) -> None:
    model.light_diffuse[:] = [[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]]
    randomizer = Randomizer(model, only(light_factor=3.0))
    for seed in range(20):
        drawn = randomizer.apply(Seed(seed))
        for i in (0, 1):
            expected = np.minimum(np.array([0.9, 0.5, 0.1]) * drawn[f"light_{i}_brightness_factor"], 1.0)
            assert model.light_diffuse[i] == pytest.approx(expected, rel=1e-6)
        assert model.vis.headlight.ambient == pytest.approx(0.1 * drawn["headlight_brightness_factor"], rel=1e-6)


def test_each_camera_has_its_own_field_of_view(model: mujoco.MjModel) -> None:
    drawn = Randomizer(model, only(field_of_view_factor=1.1)).apply(Seed(3))
    assert list(drawn) == ["camera_side_fov_factor", "camera_1_fov_factor"]
    assert model.cam_fovy == pytest.approx(np.multiply([40, 50], list(drawn.values())))
    assert len(set(drawn.values())) == 2
