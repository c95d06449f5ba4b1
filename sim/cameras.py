"""What a policy gets to see: observation profiles. `sim.rendering` draws their cameras.

A profile is named and versioned, because it is part of a cycle's plan: it states everything that decides a
picture, so that an outsider draws the same pixels. docs/cameras.md shows them. Importing this loads no
graphics.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import UnknownProfile

SUPERSAMPLING_MAX = 16
"""Sums of so many squared bytes still fit 16 bits."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One of the model's fixed cameras, by name, with the vertical field of view it is given."""

    name: str
    fovy_deg: float


@dataclass(frozen=True, slots=True)
class ObservationProfile:
    """What an observation holds beside proprioception. A change of any field is a new version.

    Lights, colours and textures are the model's own.
    """

    name: str
    cameras: tuple[Camera, ...] = ()
    image_size_px: int = 0
    """Images are square."""
    supersampling: int = 1
    """Each pixel is the rounded mean of so many by so many drawn ones: smooth edges, at a cost by the area."""
    mesh_cell_m: float = 0.0
    """Vertices of a detailed mesh that share a cube of this edge are drawn as one. 0 draws meshes as they are."""
    texture_px_max: int = 0
    """Textures are averaged down, by powers of two, to at most this edge. 0 leaves them as they are."""
    tessellation: tuple[int, int, int] = (28, 16, 4)
    """Slices and stacks of a sphere or cylinder, and squares along the edge of a box, which are lit by corner."""
    shadow_map_px: int = 0
    """Edge of the map that shadows are drawn from. 0 is no shadows: with them a picture costs several times as
    much."""
    reflections: bool = False
    """Whether mirrors mirror: each draws the scene once more."""
    static_background: bool = False
    """Draw what cannot move once, and what moves over it by depth. The pixels are the same as without, so
    neither shadows nor reflections can be had with it; transparent scenes are drawn in full."""
    full_state: bool = False
    """`extra` carries the environment's id and full state: for development and tests only."""

    def __post_init__(self) -> None:
        if self.cameras and self.image_size_px < 1:
            raise ValueError(f"profile {self.name}: images of {self.image_size_px} pixels; give it image_size_px")
        if not 1 <= self.supersampling <= SUPERSAMPLING_MAX:
            raise ValueError(
                f"profile {self.name}: supersampling {self.supersampling}, expected 1 to {SUPERSAMPLING_MAX}"
            )
        if self.static_background and (self.shadow_map_px or self.reflections):
            raise ValueError(
                f"profile {self.name}: what moves would cast no shadow and no reflection on a static background; "
                "turn off one or the other"
            )


CORNERS = (Camera("corner", 30.0), Camera("corner2", 35.0))
"""From both sides of the table. MetaWorld's own fields of view, 45 and 60 degrees, leave a goal 2 or 3 pixels."""

STATE_1 = ObservationProfile("state/1", full_state=True)
RGB84_1 = ObservationProfile(
    "rgb84/1",
    CORNERS,
    image_size_px=84,
    supersampling=2,
    mesh_cell_m=0.01,
    texture_px_max=256,
    tessellation=(20, 10, 2),
    static_background=True,
)

UNSEEN = ObservationProfile("unseen/1")
"""Nothing but proprioception: for re-simulation, where nobody looks."""

REPLAY_1 = ObservationProfile("replay/1", CORNERS, image_size_px=480, supersampling=2, shadow_map_px=2048)
"""For people who look at an episode afterwards. No plan can name it."""

PROFILES = {profile.name: profile for profile in (STATE_1, RGB84_1)}
"""What a plan can name."""


def find_profile(name: str) -> ObservationProfile:
    """The profile of this name.

    Raises:
        UnknownProfile: there is none.
    """
    if profile := PROFILES.get(name):
        return profile
    raise UnknownProfile(f"observation profile {name!r} does not exist; there are {', '.join(sorted(PROFILES))}")
