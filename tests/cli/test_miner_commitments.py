"""`kinitro miner commit|show` against a chain of ours, over a real websocket."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import bittensor as bt
import pytest

from events.sealed import EndpointKey
from producers.discovery.commitments import parse_commitment
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Fate, Node, running
from tests.chain.subnets import populated
from tests.chain.world import raw
from tests.cli.conftest import Answer, Command

KEY = EndpointKey(bytes(range(32)))
UUID_TEXT = "01234567-89ab-cdef-0123-456789abcdef"
OFFER = ("--repo", "user/policy", "--revision", "89abcdef", "--deployment", "https://policy.example.org")
TEXT = "user/policy:89abcdef:https://policy.example.org"


@contextmanager
def served(chain: Chain) -> Iterator[Node]:
    """On a thread of its own: commands run their own event loops."""
    ready, done = threading.Event(), threading.Event()
    nodes: list[Node] = []

    async def serve() -> None:
        async with running(chain) as node:
            nodes.append(node)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield nodes[0]
    finally:
        done.set()
        thread.join(30)


@pytest.fixture
def wallet(tmp_path: Path) -> bt.Wallet:
    wallet = bt.Wallet("w", "h", path=str(tmp_path))
    wallet.create_new_hotkey(use_password=False, overwrite=True, suppress=True)
    return wallet


@pytest.fixture
def run(command: Command, wallet: bt.Wallet) -> Command:
    """`kinitro miner ARGUMENTS` with this node and this wallet."""

    def run(node: Node, *arguments: str) -> Answer:
        where = ("--netuid", str(NETUID), "--chain-endpoint", node.url)
        who = ("--wallet-path", wallet.path, "--wallet-name", "w", "--hotkey-name", "h")
        name, *rest = arguments
        return command("miner", name, *where, *who, *rest)

    return run


def registered(wallet: bt.Wallet) -> Chain:
    chain = populated()
    chain.register(wallet.hotkey.ss58_address)
    chain.endow(wallet.hotkey.ss58_address)
    chain.advance()
    return chain


def committed(chain: Chain, wallet: bt.Wallet) -> bytes | None:
    """The bytes of the hotkey's newest commitment."""
    found = chain.world.commitments.get(wallet.hotkey.ss58_address)
    return None if found is None else next(iter(found.fields[0].values()))  # type: ignore[union-attr]


class TestCommit:
    def test_what_was_committed_is_read_back(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        with served(chain) as node:
            result = run(node, "commit", *OFFER, "--yes")

        assert result.status == 0, result.out
        assert committed(chain, wallet) == TEXT.encode()
        assert "finalized:" in result.out
        assert "the backend accepts it" in result.out

    def test_an_encrypted_deployment_is_opened_by_the_backend_only(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        offer = (*OFFER[:4], "--deployment", UUID_TEXT, "--encrypt-for", KEY.public.hex())
        with served(chain) as node:
            result = run(node, "commit", *offer, "--yes")

        assert result.status == 0, result.out
        judged = parse_commitment(committed(chain, wallet) or b"", 1)
        assert KEY.open(getattr(judged, "sealed_endpoint", "")) == UUID(UUID_TEXT)
        assert UUID_TEXT not in result.out

    def test_a_dry_run_sends_nothing(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        with served(chain) as node:
            result = run(node, "commit", *OFFER, "--dry-run")

        assert (result.status, committed(chain, wallet)) == (0, None)
        assert TEXT in result.out

    def test_who_does_not_confirm_sends_nothing(
        self, run: Command, wallet: bt.Wallet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chain = registered(wallet)
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
        with served(chain) as node:
            result = run(node, "commit", *OFFER)

        assert (result.status, committed(chain, wallet)) == (130, None)

    def test_what_is_committed_already_keeps_its_block(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        chain.commit(wallet.hotkey.ss58_address, raw(TEXT))
        chain.advance()
        with served(chain) as node:
            before = chain.head.number
            result = run(node, "commit", *OFFER, "--yes")

        assert result.status == 0
        assert "committed already" in result.out
        assert chain.head.number == before

    @pytest.mark.parametrize(
        ("option", "value", "reason"),
        [
            ("--repo", "no-slash", "bad_repo"),
            ("--revision", "main", "bad_revision"),
            ("--deployment", "-x-", "bad_deployment"),
            ("--deployment", f"https://{'x' * 100}.org", "too_long"),
            ("--encrypt-for", KEY.public.hex(), "not a UUID"),
        ],
    )
    def test_what_the_backend_would_reject_is_refused_here(
        self, run: Command, wallet: bt.Wallet, option: str, value: str, reason: str
    ) -> None:
        with served(registered(wallet)) as node:
            result = run(node, "commit", *OFFER, option, value, "--yes")
            assert node.calls.total() == 0

        assert result.status == 2
        assert reason in result.err

    def test_a_stranger_is_told_to_register(self, run: Command, wallet: bt.Wallet) -> None:
        with served(populated()) as node:
            result = run(node, "commit", *OFFER, "--yes")

        assert result.status == 2
        assert "btcli subnet register" in result.out

    def test_a_wallet_that_is_not_there_is_named(self, run: Command, wallet: bt.Wallet) -> None:
        with served(registered(wallet)) as node:
            result = run(node, "commit", *OFFER, "--wallet-path", "/nowhere", "--yes")

        assert result.status == 2
        assert "hotkey h of wallet w in /nowhere" in result.err


class TestFate:
    def test_a_commitment_whose_answer_was_lost_is_found(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        with served(chain) as node:
            node.fate = Fate.TAKEN_AND_CUT
            result = run(node, "commit", *OFFER, "--yes")

        assert result.status == 0, result.out
        assert "the backend accepts it" in result.out

    def test_a_refusal_is_told(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        with served(chain) as node:
            node.fate = Fate.REFUSED
            result = run(node, "commit", *OFFER, "--yes")

        assert result.status == 1
        assert "not committed: BadProof" in result.err


class TestShow:
    def test_another_hotkey_can_be_looked_at(self, run: Command, wallet: bt.Wallet) -> None:
        chain = populated()
        other = chain.world.neurons[3].hotkey
        with served(chain) as node:
            result = run(node, "show", other)

        assert result.status == 0, result.out
        assert "holds uid 3" in result.out
        assert "https://deployment.deployments.basilica.ai" in result.out

    def test_a_rejected_commitment_comes_with_its_code(self, run: Command, wallet: bt.Wallet) -> None:
        chain = registered(wallet)
        chain.commit(wallet.hotkey.ss58_address, raw("garbage"))
        chain.advance()
        with served(chain) as node:
            result = run(node, "show")

        assert result.status == 1
        assert "(malformed)" in result.out
