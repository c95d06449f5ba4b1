"""Which network addresses a miner's endpoint may have.

The check is made on the very address a socket is about to be connected to, so neither a name that resolves
differently the second time nor an unusual spelling of an address gets around it.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.connector import AddrInfoType

NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """The endpoint is at an address to which nothing is sent.

    Not an `OSError`: the client would take it for a connection that failed and try the next address.
    """


def socket_factory(*, allow_private: bool) -> Callable[[AddrInfoType], socket.socket]:
    """Creates the sockets of an HTTP client, only for addresses that `refusal` has nothing against."""

    def create(address_info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if reason := refusal(str(address[0]), allow_private=allow_private):
            raise AddressRefused(f"the endpoint is {reason}")
        return socket.socket(family, kind, protocol)

    return create


def is_address(host: str) -> bool:
    """Whether the host is an IP address, and no name that has to be resolved."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def refusal(text: str, *, allow_private: bool) -> str | None:
    """Why nothing may be sent to this IP address, or None.

    `allow_private` admits loopback, private networks and other addresses that are not routed publicly.
    Link-local addresses stay refused, because cloud metadata services live there, and so do multicast and
    unspecified ones.
    """
    address = _embedded(ip_address(text.partition("%")[0]))
    for kind, applies in (
        ("a link-local address", address.is_link_local),
        ("a multicast address", address.is_multicast),
        ("an unspecified address", address.is_unspecified),
        ("a loopback address", address.is_loopback and not allow_private),
        ("not an address of the public internet", not address.is_global and not allow_private),
    ):
        if applies:
            return kind
    return None


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that packets to this IPv6 address end at, where it is a wrapping of one."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address
