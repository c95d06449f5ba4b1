"""What is tried again, and for how long."""

from __future__ import annotations

import pytest

from producers.retry import retried


class Failing:
    def __init__(self, failures: int, error: type[Exception] = ConnectionError) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error(f"failure {self.calls}")
        return "done"


async def test_it_is_tried_until_it_succeeds() -> None:
    told: list[str] = []
    assert await retried(Failing(2), (ConnectionError,), limit_s=10, tell=lambda e: told.append(str(e))) == "done"
    assert told == ["failure 1", "failure 2"]


async def test_after_the_limit_the_error_is_raised() -> None:
    action = Failing(1_000_000)
    with pytest.raises(ConnectionError):
        await retried(action, (ConnectionError,), limit_s=1)
    assert action.calls > 1


async def test_other_errors_are_raised_at_once() -> None:
    action = Failing(1, KeyError)
    with pytest.raises(KeyError):
        await retried(action, (ConnectionError,), limit_s=10)
    assert action.calls == 1
