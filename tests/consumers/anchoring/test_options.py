"""What can be said of anchoring before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.anchoring.options import AnchorOptions
from events.cli import Misused
from tests.chain.subnets import keypair

ENDPOINT = "ws://127.0.0.1:1"


@pytest.fixture
def wallet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name, in a home directory of the test's own."""
    import bittensor as bt

    monkeypatch.setenv("HOME", str(tmp_path))
    ours = bt.Wallet("anchors", "default", path=str(tmp_path / ".bittensor" / "wallets"))
    ours.hotkey_file.set_keypair(keypair("anchor"), encrypt=False)
    return "anchors"


def test_nothing_is_anchored_unless_a_wallet_is_named() -> None:
    assert AnchorOptions().chain("finney", 7) is None


def test_a_wallet_that_is_named_signs(wallet: str) -> None:
    chain = AnchorOptions(anchor_wallet=wallet, anchor_endpoint=[ENDPOINT]).chain("finney", 7)
    assert chain is not None
    assert (chain.hotkey, chain.netuid) == (keypair("anchor").ss58_address, 7)


def test_it_is_anchored_where_miners_are_read_unless_other_nodes_are_named(wallet: str) -> None:
    assert AnchorOptions(anchor_wallet=wallet).chain("nowhere", 7, [ENDPOINT]) is not None
    with pytest.raises(Misused, match="--anchor-endpoint"):
        AnchorOptions(anchor_wallet=wallet, anchor_endpoint=["http://127.0.0.1:1"]).chain("finney", 7, [ENDPOINT])


def test_the_subnet_must_be_said(wallet: str) -> None:
    with pytest.raises(Misused, match="--netuid"):
        AnchorOptions(anchor_wallet=wallet, anchor_endpoint=[ENDPOINT]).chain("finney", None)


@pytest.mark.parametrize(
    ("options", "network", "named"),
    [
        ({"anchor_hotkey": "absent", "anchor_endpoint": [ENDPOINT]}, "finney", "--anchor-hotkey: hotkey absent"),
        ({"anchor_endpoint": ["http://127.0.0.1:1"]}, "finney", "--anchor-endpoint"),
        ({"anchor_endpoint": [","]}, "finney", "--anchor-endpoint"),
        ({}, "nowhere", "--network nowhere"),
    ],
)
def test_what_is_wrong_is_named(wallet: str, options: dict[str, str | list[str]], network: str, named: str) -> None:
    with pytest.raises(Misused, match=named):
        AnchorOptions(anchor_wallet=wallet, **options).chain(network, 7)  # type: ignore[arg-type]
