"""What an honest policy, its author and its operator can rely on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from consumers.verification.sandbox.protocol import (
    Answered,
    Clock,
    Crashed,
    Limits,
    Question,
    Raised,
    Sandbox,
    TimedOut,
    UnreadablePolicy,
)
from sim.rl_interface import decode_action
from sim.spec import ARM_ACTION
from tests.consumers.verification.conftest import ACT, HONEST, PICTURE, RESET, Place, Repository


async def test_a_policy_is_asked_as_a_policy_server_is(sandbox: Sandbox, repository: Repository) -> None:
    async with sandbox.run(repository(HONEST), Limits()) as session:
        reset = await session.ask(Question.RESET, RESET)
        act = await session.ask(Question.ACT, ACT)
    assert isinstance(reset, Answered)
    assert isinstance(act, Answered)
    action = decode_action(act.body, ARM_ACTION)
    assert action.channels["gripper"].tolist() == pytest.approx([PICTURE.mean() / 255])
    assert action.channels["ee_twist"].tolist() == np.array([0.1, 0.2, 0.3] * 2, np.float32).tolist()


async def test_an_exception_is_told_and_the_policy_can_be_asked_again(
    sandbox: Sandbox, repository: Repository
) -> None:
    async with sandbox.run(repository(HONEST), Limits()) as session:
        before_reset = await session.ask(Question.RESET, b'{"task_config": {}}')
        after = await session.ask(Question.ACT, ACT)
    assert before_reset == Raised("KeyError: 'task_id'")
    assert isinstance(after, Answered)


async def test_a_policy_may_print(sandbox: Sandbox, repository: Repository) -> None:
    printing = HONEST.replace("self.task_id =", "print('x' * 1_000_000);")
    async with sandbox.run(repository(printing), Limits()) as session:
        assert isinstance(await session.ask(Question.RESET, RESET), Answered)


async def test_files_beside_the_policy_can_be_imported_and_read(sandbox: Sandbox, repository: Repository) -> None:
    directory = repository("import layers\nfrom pathlib import Path\n" + HONEST.replace("[gripper]", "layers.read()"))
    directory.joinpath("layers.py").write_text("def read(): return [len(open('weights.bin', 'rb').read()) / 4]")
    directory.joinpath("weights.bin").write_bytes(b"12")
    async with sandbox.run(directory, Limits()) as session:
        outcome = await session.ask(Question.ACT, ACT)
    assert isinstance(outcome, Answered)
    assert decode_action(outcome.body, ARM_ACTION).channels["gripper"].tolist() == [0.5]


async def test_the_operators_packages_can_be_imported(
    repository: Repository, tmp_path: Path, place: Place, sandbox: Sandbox
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir(mode=0o755)
    packages.joinpath("installed.py").write_text("")
    async with place.with_packages([packages]).run(repository("import installed\n" + HONEST), Limits()) as session:
        assert session.ended is None


async def test_a_policy_that_cannot_be_loaded_says_why(sandbox: Sandbox, repository: Repository) -> None:
    async with sandbox.run(repository("import not_installed"), Limits()) as session:
        assert session.ended == Crashed(1, None, "ModuleNotFoundError: No module named 'not_installed'")
        assert await session.ask(Question.ACT, ACT) == session.ended


async def test_the_whole_session_has_a_limit(sandbox: Sandbox, repository: Repository) -> None:
    async with sandbox.run(repository(HONEST), Limits(total_s=1.0)) as session:
        while isinstance(outcome := await session.ask(Question.ACT, ACT), Answered):
            pass
    assert outcome == TimedOut(Clock.TOTAL, 1.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root runs policies under their own user")
async def test_root_is_told_of_files_that_the_policys_user_cannot_read(
    sandbox: Sandbox, repository: Repository
) -> None:
    directory = repository(HONEST)
    directory.joinpath("policy.py").chmod(0o600)
    with pytest.raises(UnreadablePolicy, match=r"policy\.py: mode 600.*chmod"):
        async with sandbox.run(directory, Limits()):
            pass


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_bytes: expected a number above 0, got 0"):
        Limits(memory_bytes=0)
