import pytest

# Their assertions show values when they fail, as those in test files do by themselves.
pytest.register_assert_rewrite(
    *(f"tests.contracts.{name}" for name in ("environment_ends", "environment_exchange", "environment_seeds")),
    *(f"tests.contracts.{name}" for name in ("event_log", "task_queue")),
)
