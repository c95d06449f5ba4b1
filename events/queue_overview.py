"""What is on the work queue, counted from the subjects of its tasks: no task is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CycleTasks:
    """The tasks of one cycle that wait or are with a worker."""

    episodes: int
    checks: int
    by_environment: Counter[str] = field(default_factory=Counter)
    """Episodes."""
    by_uid: Counter[int] = field(default_factory=Counter)
    """Episodes and checks."""


@dataclass(frozen=True, slots=True)
class Overview:
    """All tasks on the queue."""

    cycles: dict[int, CycleTasks]
    """In ascending order."""
    others: int
    """Messages at subjects that no task of ours has."""
    with_workers: int
    """How many of the episodes."""
    with_verifiers: int
    """And of the checks."""

    @property
    def total(self) -> int:
        return self.others + sum(it.episodes + it.checks for it in self.cycles.values())

    @property
    def waiting(self) -> int:
        """Those that nobody has taken; what was taken or done between two questions is not told apart."""
        return max(0, self.total - self.with_workers - self.with_verifiers)


def overview_of(task_subjects: Iterable[str], with_workers: int, with_verifiers: int) -> Overview:
    """Counts tasks by cycle, environment and miner."""
    environments: dict[int, Counter[str]] = {}
    miners: dict[int, Counter[int]] = {}
    checks: Counter[int] = Counter()
    others = 0
    for subject in task_subjects:
        match subject.split("."):
            case ["task", "episode", cycle, uid, family, name, _] if cycle.isdecimal() and uid.isdecimal():
                environments.setdefault(int(cycle), Counter())[f"{family}/{name}"] += 1
            case ["task", "check", cycle, uid] if cycle.isdecimal() and uid.isdecimal():
                checks[int(cycle)] += 1
            case _:
                others += 1
                continue
        miners.setdefault(int(cycle), Counter())[int(uid)] += 1
    cycles = {
        cycle: CycleTasks(
            episodes=environments.get(cycle, Counter()).total(),
            checks=checks[cycle],
            by_environment=environments.get(cycle, Counter()),
            by_uid=miners[cycle],
        )
        for cycle in sorted(miners)
    }
    return Overview(cycles, others, with_workers, with_verifiers)
