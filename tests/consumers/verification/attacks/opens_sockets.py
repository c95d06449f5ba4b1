"""Opens sockets of every family, and connects to a service on the host's loopback and in its abstract namespace."""

from __future__ import annotations

import socket
from pathlib import Path

from attempts import Attempts  # type: ignore[import-not-found]


def make_policy() -> object:
    def connected(family: int, address: object) -> str:
        with socket.socket(family) as connection:
            connection.settimeout(1)
            connection.connect(address)  # type: ignore[arg-type]
        return "connected"

    port, name = Path("host_services").read_text().split()
    return Attempts(
        {
            "loopback": lambda: connected(socket.AF_INET, ("127.0.0.1", int(port))),
            "loopback, version 6": lambda: connected(socket.AF_INET6, ("::1", int(port))),
            "abstract": lambda: connected(socket.AF_UNIX, "\0" + name),
            "internet, UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "internet, raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW),
            "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
            "kernel crypto": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
            "virtual machine": lambda: socket.socket(socket.AF_VSOCK),
        }
    )
