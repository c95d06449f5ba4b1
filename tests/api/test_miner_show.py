"""`kinitro miner show --backend-url`: the chain's word and the backend's, side by side."""

from __future__ import annotations

import pytest

from tests.api.test_explain import told
from tests.chain.chain import NETUID
from tests.chain.node import running
from tests.chain.subnets import hotkey, populated
from tests.controls import facts
from tests.fixtures.http import Api, Written
from tests.fixtures.projecting import write


async def show(api: Api) -> tuple[int | None, str, str]:
    async with running(populated()) as node:
        where = ("--netuid", str(NETUID), "--chain-endpoint", node.url, "--backend-url", api.base_url)
        return await told("miner", "show", hotkey(1), *where)


async def test_the_newest_entries_of_the_miners_file_are_shown(api: Api, read_side: Written) -> None:
    await write(read_side.log, facts.discovered(1).model_copy(update={"hotkey": hotkey(1)}))
    await read_side.project()

    status, out, err = await show(api)

    assert (status, err) == (0, "")
    assert "the backend accepts it" in out
    assert "says, the newest first:" in out
    assert out.rstrip().endswith("discovered")


@pytest.mark.usefixtures("read_side")
async def test_a_backend_that_has_never_heard_of_it_says_so(api: Api) -> None:
    status, out, err = await show(api)

    assert (status, err) == (0, "")
    assert f"{api.base_url} does not know it yet" in out


async def test_what_is_no_backend_is_called_so() -> None:
    async with running(populated()) as node:
        where = ("--netuid", str(NETUID), "--chain-endpoint", node.url)
        backend = node.url.replace("ws", "http")
        status, _, err = await told("miner", "show", hotkey(1), *where, "--backend-url", backend)

    assert status == 2
    assert "not as a backend does" in err
