"""What can go wrong in a simulation, apart from the policy (`sim.policy.PolicyFailed`).

SimError
 ├─ UnknownEnvironment    no such environment id; names close matches
 ├─ UnknownProfile        no such observation profile; names the known ones
 ├─ GraphicsUnavailable   cameras are asked for and no OpenGL library can be loaded
 ├─ InvalidAction         an action that must not reach the physics: wrong shape or not finite
 ├─ InvalidTrace          bytes that are not a recorded action trace
 └─ SimulationFailed      our own failure while an episode ran; says nothing about the policy
"""

from __future__ import annotations

from events.for_people import ForPeople


class SimError(ForPeople):
    """Any failure of the simulation."""


class UnknownEnvironment(SimError):
    """The environment id names no task of the suite."""


class UnknownProfile(SimError):
    """The observation profile does not exist."""


class GraphicsUnavailable(SimError):
    """No OpenGL implementation can be loaded on this machine; the message says which package to install."""


class InvalidAction(SimError):
    """The action has another shape than the environment's, or a number in it is not finite."""


class InvalidTrace(SimError):
    """The bytes are not a recorded action trace."""


class SimulationFailed(SimError):
    """The simulator failed: the attempt counts for nothing and may be tried again."""
