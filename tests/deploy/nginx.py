"""A real nginx with the site that we ship: only its names, ports and files are those of the test."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.eventually import eventually
from tests.fixtures.ports import free_port

SHIPPED = Path(__file__).parents[2] / "deploy/nginx"
NAME = "localhost"
CLIENT = "X-Client-Of-The-Test"
"""The address that nginx is to take for that of the client: all clients of tests are on loopback."""

MAIN = """user root; daemon off; worker_processes 2; pid {directory}/pid; error_log {directory}/log info;
events {{ worker_connections 512; }}
http {{
    gzip on; gzip_types *; access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    set_real_ip_from 127.0.0.1; real_ip_header {client};
    include {directory}/kinitro.conf;
}}
"""
"""As Debian's, which compresses everything unless a site says otherwise."""


class Nginx:
    """In front of two copies of the API, over TLS."""

    def __init__(self, directory: Path, copies: tuple[int, int]) -> None:
        self.directory = directory
        self._plain, self._tls = free_port(), free_port()
        self._authority = trustme.CA()
        self._process: subprocess.Popen[bytes] | None = None
        self._write(copies)

    @property
    def base_url(self) -> str:
        return f"https://{NAME}:{self._tls}"

    @property
    def plain_url(self) -> str:
        return f"http://{NAME}:{self._plain}"

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe its certificate."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def _write(self, copies: tuple[int, int]) -> None:
        certificate = self._authority.issue_cert(NAME)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(self.directory / "both.pem"))
        site = SHIPPED.joinpath("kinitro.conf").read_text()
        for shipped, ours in {
            "127.0.0.1:8000": f"127.0.0.1:{copies[0]}",
            "127.0.0.1:8001": f"127.0.0.1:{copies[1]}",
            "listen [::]:80;": "",
            "listen [::]:443 ssl http2;": "",
            "listen 80;": f"listen 127.0.0.1:{self._plain};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self._tls} ssl http2;",
            "server_name backend.example;": f"server_name {NAME};",
            "/etc/letsencrypt/live/backend.example/fullchain.pem": f"{self.directory}/both.pem",
            "/etc/letsencrypt/live/backend.example/privkey.pem": f"{self.directory}/both.pem",
            "/etc/nginx/kinitro/locations.conf": f"{SHIPPED}/locations.conf",
        }.items():
            assert shipped in site, shipped
            site = site.replace(shipped, ours)
        self.directory.joinpath("kinitro.conf").write_text(site)
        self.directory.joinpath("nginx.conf").write_text(MAIN.format(directory=self.directory, client=CLIENT))

    @property
    def _command(self) -> tuple[str, ...]:
        return "nginx", "-e", f"{self.directory}/log", "-c", f"{self.directory}/nginx.conf"

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)

    async def at_work(self) -> None:
        await eventually(lambda: "start worker process" in self.log or self._process_ended())

    def _process_ended(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return False

    async def reload(self) -> None:
        """Returns once new processes are at work."""
        assert self._process is not None
        started = self.log.count("start worker process ")
        self._process.send_signal(signal.SIGHUP)
        await eventually(lambda: self.log.count("start worker process ") >= started + 2)
        await eventually(lambda: "gracefully shutting down" in self.log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)


@asynccontextmanager
async def nginx(directory: Path, copies: tuple[int, int]) -> AsyncIterator[Nginx]:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    server = Nginx(directory, copies)
    try:
        server.start()
        await server.at_work()
        yield server
    finally:
        server.stop()
