"""What every `Environment` does. A test class per family inherits it and names its environments.

    class TestMine(EnvironmentContract):
        envs = MINE.environments

Two hooks may be overridden: `make`, and `simulation`, which looks inside for what the protocol does not show.
"""

from __future__ import annotations

from tests.contracts.environment_ends import Ends
from tests.contracts.environment_exchange import Exchange
from tests.contracts.environment_seeds import Seeds


class EnvironmentContract(Exchange, Seeds, Ends):
    """Inherit it, and name the environments. Each test runs on each of them."""
