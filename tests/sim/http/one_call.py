"""`python -m tests.sim.http.one_call URL`: a reset and an act, and how they ended."""

from __future__ import annotations

import sys

import uvloop

from sim.policy import PolicyFailed
from tests.sim.http.test_policy import reset_and_act


async def main(url: str) -> None:
    try:
        await reset_and_act(url, reset_ms=1_000)
    except PolicyFailed as failed:
        print(failed)
    else:
        print("fine")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
