"""Whether this process may drive a plan of the log, which another one may have made: its key, its terms, its chain.

Pure. What is wrong is raised; see `errors.py`.
"""

from __future__ import annotations

from events.cycles import CyclePlanned
from events.ids import CycleId, Uid
from events.sealed import EndpointKey
from events.seeds import commitment_to
from producers.cycles.errors import ForeignChain, ForeignSecret, SealedEndpoints, UnfairTerms
from producers.cycles.settings import SchedulerSettings, why_unfair
from producers.cycles.tasks import endpoints
from producers.discovery.metagraph import MetagraphSnapshot


def check_plan(plan: CyclePlanned, secret: bytes, settings: SchedulerSettings) -> None:
    """That its secret can be revealed here, and that its terms are fair on this network.

    Raises:
        ForeignSecret, UnfairTerms: not so.
    """
    if plan.secret_commitment != commitment_to(secret):
        raise ForeignSecret(
            f"cycle {plan.cycle} was planned with another master key: its plan commits to"
            f" {plan.secret_commitment[:16]}..., this key gives {commitment_to(secret)[:16]}...;"
            " restore the key with which it was planned"
        )
    if reason := why_unfair(settings.network, plan.terms):
        raise UnfairTerms(f"cycle {plan.cycle} cannot go on: {reason}")


def check_kind(plan: CyclePlanned, *, on_chain: bool) -> None:
    """That it is about a chain where this process reads one, and about none where it does not.

    Raises:
        ForeignChain: not so.
    """
    if (plan.chain is not None) is not on_chain:
        wanted, given = ("a chain", "a roster") if plan.chain else ("a roster", "a chain")
        raise ForeignChain(
            f"cycle {plan.cycle} was planned from {wanted}, and this process has {given}: start it with the"
            " options with which the cycle was planned"
        )


def check_genesis(plan: CyclePlanned, found: str | None) -> None:
    """That a block or a subnet was read from the plan's chain.

    Raises:
        ForeignChain: not so.
    """
    wanted = plan.chain.genesis if plan.chain else None
    if wanted != found:
        raise ForeignChain(
            f"cycle {plan.cycle} was planned on the chain with genesis {wanted}, and this process reads"
            f" {found}: start it with the endpoints with which the cycle was planned"
        )


def check_subnet(plan: CyclePlanned, graph: MetagraphSnapshot) -> None:
    """That it is the plan's.

    Raises:
        ForeignChain: not so.
    """
    check_genesis(plan, graph.genesis)
    assert plan.chain is not None
    if graph.netuid != plan.chain.netuid:
        raise ForeignChain(
            f"cycle {plan.cycle} was planned for netuid {plan.chain.netuid}, and this process reads"
            f" {graph.netuid}: start it with the netuid with which the cycle was planned"
        )


def opened(plan: CyclePlanned, key: EndpointKey | None) -> dict[Uid, str]:
    """Where each policy of the plan is served.

    Raises:
        SealedEndpoints: the key does not open all of them.
    """
    where = endpoints(plan, key)
    if unread := [entry.uid for entry in plan.roster if entry.uid not in where]:
        raise SealedEndpoints(_why_unread(plan.cycle, unread, key))
    return where


def _why_unread(cycle: CycleId, uids: list[Uid], key: EndpointKey | None) -> str:
    given = "there is no key" if key is None else f"the key with public half {key.public.hex()} is not the one"
    return (
        f"cycle {cycle} evaluates uids {', '.join(map(str, uids))}, whose endpoints are encrypted, and {given} to"
        " open them: set KINITRO_BACKEND_PRIVATE_KEY or KINITRO_BACKEND_PRIVATE_KEY_FILE to the key of when the cycle"
        " was planned; it then goes on where it stands, and nothing was forfeited"
    )
