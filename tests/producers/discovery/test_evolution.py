"""Whatever happens on a subnet, and to the nodes that tell of it: after each look the log says what is final.

A story is drawn from a seed; the seed is in the name of the test that fails.
"""

from __future__ import annotations

import random

import pytest

from events.chain.link import ChainLink
from events.chain.trouble import ChainTrouble
from events.ids import Hotkey, Uid
from events.memory import MemoryLog
from events.miners import Commitment
from producers.discovery.commitments import Rejection, parse_commitment
from producers.discovery.discovery import Discovery
from producers.discovery.registry import Registry
from producers.discovery.source import SourceTrouble
from producers.discovery.subtensor import SubtensorMetagraph
from producers.discovery.subtensor_source import SubtensorSource
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Node, running
from tests.chain.subnets import KINDS, hotkey, populated
from tests.chain.world import Committed, raw

STEPS = 30
HOTKEYS = 24
"""From whom the holders of uids are drawn: so few that they come back."""

State = dict[Hotkey, tuple[Uid, Commitment | None]]
"""Who has committed to what; None where it is not accepted."""


@pytest.mark.parametrize("seed", range(4))
async def test_the_log_says_what_is_final_and_nothing_else(seed: int) -> None:
    draw = random.Random(seed)
    chain = populated(6, kinds=KINDS)
    log = MemoryLog()
    async with running(chain) as one, running(chain) as other:
        link = ChainLink([one.url, other.url])
        source = SubtensorSource(SubtensorMetagraph(link, NETUID, retry_s=0.0))
        discovery = Discovery(source, log)
        looks, down = 0, set[Node]()
        for _ in range(STEPS):
            _evolve(chain, draw)
            await _fault(draw.choice((one, other)), draw, down)
            looks += await _looked(discovery, chain, log)
        assert looks > STEPS / 4
        await one.restart()
        await other.restart()
        chain.advance()
        assert await _looked(discovery, chain, log)
        sequence = await log.last_sequence()
        assert await discovery.poll() == []
        assert await log.last_sequence() == sequence
        await link.close()


async def _looked(discovery: Discovery, chain: Chain, log: MemoryLog) -> bool:
    """Whether a look succeeded. Then the log is as the final chain; and otherwise as it was before."""
    before = await log.last_sequence()
    try:
        await discovery.poll()
    except (ChainTrouble, SourceTrouble):
        assert await log.last_sequence() == before
        return False
    registry = Registry()
    await registry.catch_up(log)
    assert {it.hotkey: (it.uid, it.commitment) for it in registry.present()} == _final(chain)
    return True


def _final(chain: Chain) -> State:
    """As the stub has it, and not as anybody read it."""
    world = chain.last_finalized.world
    return {
        Hotkey(it.hotkey): (Uid(uid), _accepted(world.commitments[it.hotkey]))
        for uid, it in enumerate(world.neurons)
        if it.hotkey in world.commitments
    }


def _accepted(committed: Committed) -> Commitment | None:
    if len(committed.fields) != 1 or isinstance(committed.fields[0], str):
        return None
    ((kind, value),) = committed.fields[0].items()
    if not kind.startswith(("Raw", "BigRaw")):
        return None
    parsed = parse_commitment(value, committed.block)
    return None if isinstance(parsed, Rejection) else parsed


def _evolve(chain: Chain, draw: random.Random) -> None:
    """A few changes, some of them final, some only in a fork that goes again."""
    for _ in range(draw.randrange(4)):
        draw.choice((_register, _commit, _commit, _deregister))(chain, draw)
    chain.produce(draw.randrange(1, 4))
    match draw.randrange(4):
        case 0:
            chain.reorganise(draw.randrange(1, 1 + chain.head.number - chain.last_finalized.number))
        case 1 | 2:
            chain.finalize(draw.randrange(chain.last_finalized.number, chain.head.number + 1))


def _register(chain: Chain, draw: random.Random) -> None:
    """Somebody who holds no uid gets the next, or somebody else's."""
    holders = {neuron.hotkey for neuron in chain.world.neurons}
    newcomer = draw.choice([it for it in map(hotkey, range(HOTKEYS)) if it not in holders])
    uid = draw.randrange(len(chain.world.neurons) + 1)
    chain.register(newcomer, uid=uid if uid < HOTKEYS // 2 else 0)


def _deregister(chain: Chain, draw: random.Random) -> None:
    """Two change places: each loses its uid, and has another."""
    if len(chain.world.neurons) < 2:
        return
    one, other = draw.sample(range(len(chain.world.neurons)), 2)
    first, second = chain.world.neurons[one].hotkey, chain.world.neurons[other].hotkey
    chain.register(first, uid=other)
    chain.register(second, uid=one)


def _commit(chain: Chain, draw: random.Random) -> None:
    holder = draw.choice(chain.world.neurons).hotkey
    plain = (raw(f"user/policy:{draw.getrandbits(32):08x}:deployment-{draw.randrange(9)}"),)
    chain.commit(holder, *draw.choice((plain, plain, *KINDS)))


async def _fault(node: Node, draw: random.Random, down: set[Node]) -> None:
    if node in down:
        down.remove(node)
        await node.start()
        return
    match draw.randrange(8):
        case 0:
            await node.restart()
        case 1:
            node.cut_after(draw.randrange(1, 12))
        case 2:
            down.add(node)
            await node.stop()
