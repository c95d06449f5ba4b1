"""Why there is no copy of what was committed.

    NoSnapshot
    ├── RepositoryRefused     the miner's: what was committed is not there, or is not what may be committed
    └── HubTrouble            ours, or the hub's: the check is inconclusive, and nothing follows for the miner

Each has a `reason` from a closed list, and a `detail` for people.
"""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """What is wrong with the repository. Closed."""

    REPOSITORY_MISSING = "repository_missing"
    """There is none of this name, or it is private: the hub does not tell."""
    NO_ACCESS = "no_access"
    """It is gated, disabled or otherwise not for everybody to read."""
    REVISION_MISSING = "revision_missing"
    REVISION_AMBIGUOUS = "revision_ambiguous"
    """Several commits begin with it."""
    TOO_MANY_COMMITS = "too_many_commits"
    """To look for the one that begins with a short revision: the full hash is needed."""
    TOO_LARGE = "too_large"
    TOO_MANY_FILES = "too_many_files"
    BAD_NAME = "bad_name"
    """A file's name that a file here cannot safely have."""
    NOT_PLAIN = "not_plain"
    """Something that is neither a file nor a folder of files: a submodule."""
    EMPTY = "empty"
    FILE_MISSING = "file_missing"
    """It is listed, but whoever owns the repository has deleted its content."""


class Trouble(StrEnum):
    """What kept us from fetching it. Closed."""

    HUB_AWAY = "hub_away"
    """No connection, no answer in time, or an answer that says the hub has trouble."""
    RATE_LIMITED = "rate_limited"
    HUB_UNTRUE = "hub_untrue"
    """What was sent is not what was announced: another size, or another digest."""
    FILE_MISSING = "file_missing"
    """What was listed is not there. It may come; if it does not, the miner has deleted it (`Refusal`)."""
    ADDRESS_REFUSED = "address_refused"
    """The hub sent us to an address that is not on the public internet."""
    TOO_SLOW = "too_slow"
    CACHE_FULL = "cache_full"
    """All that is cached is in use, or the disk is full."""
    FETCHER_DIED = "fetcher_died"
    """The process that fetches ended without an answer."""


class NoSnapshot(Exception):
    """There is no snapshot to compare with."""


class RepositoryRefused(NoSnapshot):
    """The miner's part, and for the miner to mend."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class HubTrouble(NoSnapshot):
    """Not the miner's part. `retry_after_s`: how long the hub asked us to wait, if it did."""

    def __init__(self, reason: Trouble, detail: str, retry_after_s: float | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        super().__init__(f"{reason}: {detail}")
