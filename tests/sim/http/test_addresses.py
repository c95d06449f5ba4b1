from __future__ import annotations

import socket

import pytest

from sim.http.addresses import AddressRefused, refusal, socket_factory

NOT_PUBLIC = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "192.0.2.1",
    "240.0.0.1",
    "255.255.255.255",
]
NEVER = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fe80::1",
    "fe80::1%eth0",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", NOT_PUBLIC + NEVER)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert refusal(address, allow_private=False) is not None


@pytest.mark.parametrize("address", NEVER)
def test_metadata_services_and_multicast_stay_refused_when_private_is_allowed(address: str) -> None:
    assert refusal(address, allow_private=True) is not None


@pytest.mark.parametrize("address", [address for address in NOT_PUBLIC if address != "255.255.255.255"])
def test_private_addresses_can_be_allowed(address: str) -> None:
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert refusal(address, allow_private=False) is None


def test_no_socket_is_made_for_a_refused_address() -> None:
    create = socket_factory(allow_private=False)
    with pytest.raises(AddressRefused, match="loopback"):
        create((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80)))
