"""`python -m tests.sim.http.one_call URL RESET_MS`: a reset and an act, and how they ended."""

from __future__ import annotations

import sys

import uvloop

from sim.policy import PolicyFailed
from tests.sim.http.test_policy import reset_and_act


async def main(url: str, reset_ms: str) -> None:
    try:
        await reset_and_act(url, reset_ms=float(reset_ms), act_ms=float(reset_ms))
    except PolicyFailed as failed:
        print(failed)
    else:
        print("fine")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
