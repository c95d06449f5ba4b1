"""Procedural variation of a model: what a seed draws within ranges, set in the model and taken back again.

Drawn are uniform numbers u in [-1, 1), always all of them and in this order, so that a change of one range moves
nothing else: friction, damping, mass; then of each light, in the model's order, brightness and the shift along
x, y and z; then the brightness of the headlight, which shines from every camera; then of each camera, in the
model's order, the field of view. The k-th is

    u = (r >> 11) * 2**-52 - 1,  r = the k-th 64-bit output of PCG64 seeded by SeedSequence([seed, 0xD0])

in NumPy's names, which is another stream than that of placement. A factor range f makes of it the factor
1 + u (f - 1), or 1 / (1 - u (f - 1)) where u is negative: as likely above 1 as below, and as far. A shift is u
times its range. There are no functions in this but + - * /, which IEEE 754 rounds correctly, so that every
machine gets the same digits.

A range of 1 (of a shift: 0) changes no bit of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from events.ids import Seed
    from events.variation import VariationRanges

STREAM = 0xD0
"""Tells these draws from any other of the same seed."""

SET = (
    "geom_friction",
    "pair_friction",
    "dof_damping",
    "dof_frictionloss",
    "body_mass",
    "body_inertia",
    "light_ambient",
    "light_diffuse",
    "light_specular",
    "light_pos",
    "light_dir",
    "cam_fovy",
)
DERIVED = (
    "body_subtreemass",
    "body_invweight0",
    "dof_M0",
    "dof_invweight0",
    "tendon_length0",
    "tendon_invweight0",
    "actuator_length0",
    "actuator_acc0",
    "cam_pos0",
    "cam_poscom0",
    "cam_mat0",
    "light_pos0",
    "light_poscom0",
    "light_dir0",
)
"""What MuJoCo computes from the former and the poses, in `mj_setConst`."""
POSES = ("body_pos", "body_quat", "geom_pos", "geom_quat", "site_pos", "site_quat", "qpos0")
"""What tasks move at their resets. Constants derived from the last episode's poses would differ in the last digit."""
COLORS = ("ambient", "diffuse", "specular")
"""Of a light, and of the headlight."""
STATISTICS = ("meaninertia", "meanmass", "meansize", "extent")

FULL_BRIGHTNESS = 1.0


class Randomizer:
    """Varies one model, in place. The model must be as compiled, but for what is meant to last."""

    def __init__(self, model: mujoco.MjModel, ranges: VariationRanges, *, robot: Collection[str] = ()) -> None:
        """`robot`: the bodies, by name, that with everything attached to them keep mass and damping."""
        self._model = model
        self._ranges = ranges
        self._scratch = mujoco.MjData(model)
        self._arrays: dict[str, NDArray[np.float64]] = {name: getattr(model, name) for name in SET + DERIVED + POSES}
        self._headlight = [getattr(model.vis.headlight, color) for color in COLORS]
        arrays = [*self._arrays.values(), *self._headlight]
        self._base = [(array, array.copy()) for array in arrays if array.size]
        self._statistics = [(name, getattr(model.stat, name)) for name in STATISTICS]
        self._center = model.stat.center.copy()
        self._bodies = _movable_bodies(model, robot)
        self._dofs = np.flatnonzero(np.isin(model.dof_bodyid, self._bodies))
        self._directional = model.light_directional.astype(bool)
        self._cameras = [model.camera(i).name or str(i) for i in range(model.ncam)]

    def apply(self, seed: Seed) -> dict[str, float]:
        """Set in the model what this seed draws, and return it by name, without what has no range to vary in.

        Whatever was set before is gone.
        """
        self.restore()
        draws = _Draws(seed, 4 + 4 * self._model.nlight + self._model.ncam)
        self._vary_physics(draws)
        self._vary_lights(draws)
        self._vary_cameras(draws)
        return draws.varied

    def restore(self) -> None:
        """Make the model what it was when this was constructed, poses included, bit for bit."""
        for array, base in self._base:
            array[...] = base
        self._restore_statistics()

    def _vary_physics(self, draws: _Draws) -> None:
        ranges, arrays = self._ranges, self._arrays
        friction = draws.factor("friction_factor", ranges.friction_factor)
        damping = draws.factor("damping_factor", ranges.damping_factor)
        mass = draws.factor("mass_factor", ranges.mass_factor)
        # A contact has the greater friction of its two geoms, so only a factor on all of them is one on the contact.
        arrays["geom_friction"] *= friction
        arrays["pair_friction"] *= friction
        arrays["dof_damping"][self._dofs] *= damping
        arrays["dof_frictionloss"][self._dofs] *= damping
        arrays["body_mass"][self._bodies] *= mass
        arrays["body_inertia"][self._bodies] *= mass
        mujoco.mj_setConst(self._model, self._scratch)
        self._restore_statistics()  # a model's file may state them, and none is meant to vary

    def _vary_lights(self, draws: _Draws) -> None:
        arrays = self._arrays
        for i, directional in enumerate(self._directional):
            brightness = draws.factor(f"light_{i}_brightness_factor", self._ranges.light_factor)
            shift_m = [draws.shift(f"light_{i}_shift_{axis}_m", self._ranges.light_shift_m) for axis in "xyz"]
            _brighten([arrays[f"light_{color}"][i] for color in COLORS], brightness)
            if directional:
                arrays["light_dir"][i] -= shift_m  # drawn as a unit vector: like the light of a lamp 1 m away
            else:
                arrays["light_pos"][i] += shift_m
        _brighten(self._headlight, draws.factor("headlight_brightness_factor", self._ranges.light_factor))

    def _vary_cameras(self, draws: _Draws) -> None:
        fovy = self._arrays["cam_fovy"]
        for i, name in enumerate(self._cameras):
            fovy[i] *= draws.factor(f"camera_{name}_fov_factor", self._ranges.field_of_view_factor)

    def _restore_statistics(self) -> None:
        for name, value in self._statistics:
            setattr(self._model.stat, name, value)
        self._model.stat.center[:] = self._center


class _Draws:
    """The numbers of one seed, handed out in order."""

    def __init__(self, seed: Seed, count: int) -> None:
        raw = np.random.PCG64(np.random.SeedSequence([seed, STREAM])).random_raw(count)
        self._units: Iterator[float] = iter(((raw >> np.uint64(11)) * 2.0**-52 - 1.0).tolist())
        self.varied: dict[str, float] = {}

    def factor(self, name: str, largest: float) -> float:
        factor = symmetric_factor(next(self._units), largest)
        if largest != 1.0:
            self.varied[name] = factor
        return factor

    def shift(self, name: str, largest: float) -> float:
        shift = next(self._units) * largest
        if largest != 0.0:
            self.varied[name] = shift
        return shift


def symmetric_factor(unit: float, largest: float) -> float:
    """The factor in [1 / largest, largest] of a number in [-1, 1]; that of its negative is the reciprocal."""
    if unit < 0.0:
        return 1.0 / (1.0 - unit * (largest - 1.0))
    return 1.0 + unit * (largest - 1.0)


def _brighten(colors: Iterable[NDArray[np.float32]], factor: float) -> None:
    for color in colors:
        # Brighter than full only where the model says so: OpenGL cuts it off anyway.
        color[:] = np.minimum(color * factor, np.maximum(color, FULL_BRIGHTNESS))


def _movable_bodies(model: mujoco.MjModel, robot: Collection[str]) -> NDArray[np.int64]:
    """The bodies that physics can move and that are not of the robot."""
    robots = {model.body(name).id for name in robot}
    for body in range(1, model.nbody):  # parents come before their children
        if model.body_parentid[body] in robots:
            robots.add(body)
    movable = (body for body in range(1, model.nbody) if model.body_weldid[body] != 0 and body not in robots)
    return np.fromiter(movable, np.int64)
