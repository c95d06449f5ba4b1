"""Buckets of tokens, by a clock that the test holds."""

from __future__ import annotations

import pytest

from api.http.rate_limits import FREE, RateLimits, key_of

CLIENT = ("203.0.113.7", 1)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("quota", [1, 3, 7, 600, 6000])
def test_a_full_bucket_is_good_for_the_quota(clock: Clock, quota: int) -> None:
    limits = RateLimits(quota, clock=clock)
    rulings = [limits.rule(CLIENT) for _ in range(quota)]
    assert all(it.retry_after_s is None for it in rulings)
    told = [it.headers[1][1].decode().split(";")[1] for it in rulings]
    assert told == [f"r={left}" for left in reversed(range(quota))]
    assert limits.rule(CLIENT).retry_after_s == max(1, -(-60 // quota))


@pytest.mark.parametrize("quota", [1, 7, 6000])
def test_who_comes_back_when_told_is_answered(clock: Clock, quota: int) -> None:
    limits = RateLimits(quota, clock=clock)
    while (told := limits.rule(CLIENT).retry_after_s) is None:
        pass
    clock.now += told
    assert limits.rule(CLIENT).retry_after_s is None


def test_a_bucket_is_full_again_after_a_window(clock: Clock) -> None:
    limits = RateLimits(5, clock=clock)
    for _ in range(9):
        limits.rule(CLIENT)
    clock.now += 60
    assert [limits.rule(CLIENT).retry_after_s for _ in range(6)] == [None] * 5 + [12]


def test_clients_do_not_share_a_bucket(clock: Clock) -> None:
    limits = RateLimits(1, clock=clock)
    assert limits.rule(CLIENT).retry_after_s is None
    assert limits.rule(("203.0.113.8", 1)).retry_after_s is None
    assert limits.rule(("203.0.113.7", 2)).retry_after_s is not None


def test_only_so_many_clients_are_remembered(clock: Clock) -> None:
    limits = RateLimits(1, clients_max=10, clock=clock)
    for number in range(1000):
        assert limits.rule((f"198.51.{number // 256}.{number % 256}", 1)).retry_after_s is None
    assert len(limits._full_at) == 10


@pytest.mark.parametrize("client", [None, ("127.0.0.1", 1), ("127.9.9.9", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])
def test_this_machine_has_no_limit(clock: Clock, client: tuple[str, int] | None) -> None:
    limits = RateLimits(1, clock=clock)
    assert [limits.rule(client) for _ in range(3)] == [FREE] * 3


def test_a_quota_of_zero_is_no_limit(clock: Clock) -> None:
    limits = RateLimits(0, clock=clock)
    assert [limits.rule(CLIENT) for _ in range(3)] == [FREE] * 3


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_client_is_an_address_or_a_network(host: str, key: str) -> None:
    assert key_of(host) == key
