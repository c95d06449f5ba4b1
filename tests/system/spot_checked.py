"""A subnet whose miners are checked: repositories on a hub, and servers that are honest, or are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from events.ids import Uid
from events.verification_options import VerificationOptions
from producers.options import CycleOptions
from tests.chain.subnets import hotkey
from tests.consumers.verification.deployed import Served, files_of, serving
from tests.consumers.verification.hub import Hub, Revision, commit_id
from tests.system.cycles import Subnet

ENVIRONMENTS = ("metaworld/reach-v3", "metaworld/button-press-topdown-v3")
EPISODES = 4
HONEST, TAMPERED, GONE = Uid(0), Uid(1), Uid(2)
SKILLS = {HONEST: "button-press-topdown", TAMPERED: "reach", GONE: "none"}
"""Each wins another environment, so that both have weight where nobody failed; the last wins none."""

POLICY = """
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SKILL = "{skill}"


class Policy:
    seeded = True

    def __init__(self):
        self.gain = float((HERE / "gain.txt").read_text())

    def reset(self, task_config):
        pass

    def act(self, obs):
        state = np.array(obs["extra"]["state"])
        hand, thing, goal = state[:3], state[4:7], state[-3:]
        if obs["extra"]["env_id"] != f"metaworld/{{SKILL}}-v3":
            wanted = hand
        elif SKILL == "reach":
            wanted = goal
        else:
            above = np.linalg.norm(hand[:2] - thing[:2]) > 0.04
            wanted = thing + np.array([0, 0, 0.1 * above])
        twist = np.zeros(6)
        twist[:3] = self.gain * np.clip(25 * (wanted - hand), -1, 1)
        return {{"continuous": {{"ee_twist": twist, "gripper": np.ones(1)}}}}


def make_policy():
    return Policy()
"""
COMMITTED_GAIN, OTHER_GAIN = "1", "0.98"


@dataclass(frozen=True)
class CheckedSubnet(Subnet):
    """A tenth of the usual cycle, in which everybody is checked."""

    rate: Decimal = Decimal(1)
    eval_interval: int = 3600

    @property
    def cycles(self) -> CycleOptions:
        return replace(
            super().cycles,
            environments=",".join(ENVIRONMENTS),
            episodes_per_env=EPISODES,
            max_timesteps=120,
            eval_interval=self.eval_interval,
        )

    @property
    def verification(self) -> VerificationOptions:
        return VerificationOptions(verification=True, verification_rate=self.rate, verification_samples=2)


class Miner:
    """Its committed repository is on the hub, if it is; what it serves is a directory here."""

    def __init__(self, uid: Uid, directory: Path) -> None:
        self.uid = uid
        self.repo, self.commit = f"miner-{uid}/policy", commit_id(f"miner-{uid}")
        self.directory = directory
        directory.mkdir()
        (directory / "policy.py").write_text(POLICY.format(skill=SKILLS[uid]))
        self.serve_gain(COMMITTED_GAIN)
        self.served: Served
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.released.set()
        self.evaluated = 0
        """So many resets come before."""

    def serve_gain(self, gain: str) -> None:
        """From the next episode on."""
        (self.directory / "gain.txt").write_text(gain)

    def hold_after_one_cycle(self) -> None:
        """Whatever is asked after the episodes of one cycle waits for `released`."""
        self.held.clear()
        self.released.clear()
        self.evaluated = len(self.served.resets) + len(ENVIRONMENTS) * EPISODES

    async def before(self, _request: web.Request) -> None:
        if not self.released.is_set() and len(self.served.resets) > self.evaluated:
            self.held.set()
            await self.released.wait()

    @property
    def roster_entry(self) -> str:
        return f"""[[miner]]
hotkey = "{hotkey(self.uid)}"
uid = {self.uid}
endpoint = "{self.served.url}"
repo = "{self.repo}"
revision = "{self.commit}"
committed_block = {100 * (self.uid + 1)}
"""


@dataclass(frozen=True)
class Checked:
    """The subnet with all that belongs to it."""

    subnet: CheckedSubnet
    hub: Hub
    miners: dict[Uid, Miner]


@asynccontextmanager
async def checked_subnet(directory: Path) -> AsyncIterator[Checked]:
    """Three miners: one honest, one that serves something else than it committed, one whose repository is gone."""
    async with Hub() as hub, AsyncExitStack() as stack:
        miners = {uid: Miner(uid, directory / f"miner-{uid}") for uid in SKILLS}
        for miner in miners.values():
            if miner.uid != GONE:
                hub.add(miner.repo, Revision(miner.commit, files_of(miner.directory)))
            miner.served = await stack.enter_async_context(serving(miner.directory, miner.before))
        miners[TAMPERED].serve_gain(OTHER_GAIN)
        roster, key = directory / "roster.toml", directory / "master.key"
        roster.write_text("\n".join(miner.roster_entry for miner in miners.values()))
        key.touch(mode=0o600)
        key.write_text("17" * 32)
        yield Checked(CheckedSubnet(roster, key, last_policy=0), hub, miners)
