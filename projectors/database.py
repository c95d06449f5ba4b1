"""The way into PostgreSQL, and which of its errors mean what.

DatabaseError
├── BadDatabaseUrl         not a PostgreSQL URL
└── DatabaseUnavailable    no answer in time, or no connection
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from events.for_people import ForPeople

CONNECT_TIMEOUT_S = 5.0
NO_SUCH_TABLE = ("42P01", "3F000")
"""The codes for a table or a schema that is not there."""
MAINTENANCE_DATABASE = "postgres"
URL_FORM = "write it as postgresql://user:password@host:port/database"


class DatabaseError(ForPeople):
    """The database cannot be used as asked."""


class BadDatabaseUrl(DatabaseError):
    """Not a URL of a PostgreSQL database."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL does not answer; start it, or correct the URL. The same call may be made again."""


def open_engine(url: str, *, role: str, command_timeout_s: float, connections_max: int = 10) -> AsyncEngine:
    """A pool of connections to the database at `url`; nothing is connected yet.

    `role` shows as `application_name` in `pg_stat_activity`. A command that takes longer than `command_timeout_s`
    is cancelled, on the server too.

    Raises:
        BadDatabaseUrl: not `postgresql://user@host/database`.
    """
    dsn = checked_url(url)
    settings = {"application_name": f"kinitro {role}", "statement_timeout": str(int(command_timeout_s * 1000))}

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=command_timeout_s + 1, server_settings=settings
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=command_timeout_s,
        pool_pre_ping=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )


def checked_url(url: str) -> str:
    """The URL as asyncpg wants it.

    Raises:
        BadDatabaseUrl: not `postgresql://user@host/database`.
    """
    scheme, separator, rest = url.partition("://")
    try:
        if separator and scheme in ("postgresql", "postgres", "postgresql+asyncpg") and _well_formed(url):
            return f"postgresql://{rest}"
    except ValueError as error:
        raise BadDatabaseUrl(f"the database URL cannot be read ({error}); {URL_FORM}") from error
    raise BadDatabaseUrl(f"{_without_password(url)!r} is not the URL of a PostgreSQL database; {URL_FORM}")


def _well_formed(url: str) -> bool:
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    return bool(database_of(url)) and all(urlsplit(f"//{host}").port != 0 for host in hosts)


def database_of(url: str) -> str:
    """The name of the database, empty where there is none."""
    return urlsplit(url).path.lstrip("/")


async def create_database(url: str) -> bool:
    """Creates the database that the URL names, if it is not there; returns whether it was created.

    Raises:
        BadDatabaseUrl: the URL is none of PostgreSQL.
        DatabaseUnavailable: the server does not answer, or refuses.
    """
    parts = urlsplit(checked_url(url))
    name = database_of(url)
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        connection = await asyncpg.connect(
            parts._replace(path=f"/{MAINTENANCE_DATABASE}").geturl(), timeout=CONNECT_TIMEOUT_S, command_timeout=60
        )
        try:
            if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                return False
            await connection.execute(f"CREATE DATABASE {quoted}")
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        return False  # somebody else was quicker
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unavailable(url, error) from error
    return True


async def check_answers(url: str) -> None:
    """Returns if the server answers. Whether the database exists does not matter: the projector creates it.

    Raises:
        BadDatabaseUrl: the URL is none of PostgreSQL.
        DatabaseUnavailable: the server does not answer, or refuses.
    """
    try:
        connection = await asyncpg.connect(checked_url(url), timeout=CONNECT_TIMEOUT_S)
        await connection.close(timeout=CONNECT_TIMEOUT_S)
    except asyncpg.InvalidCatalogNameError:
        return
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unavailable(url, error) from error


def unavailable(url: str, error: BaseException) -> DatabaseUnavailable:
    """The error for people, without the password."""
    return DatabaseUnavailable(
        f"PostgreSQL at {_without_password(url)} does not answer ({type(error).__name__}: {error}):"
        " start it, create the database (`kinitro db create`) or correct --database-url"
    )


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five-character code, empty where the error has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    for candidate in (original, getattr(original, "__cause__", None)):
        if code := getattr(candidate, "sqlstate", None):
            return str(code)
    return ""


def refuses_the_data(error: BaseException) -> bool:
    """Whether the rows are at fault: class 22 (data exception) or 23 (integrity constraint violation)."""
    if isinstance(error, asyncpg.exceptions.DataError):
        return True  # also raised by the client, before anything is sent
    return sqlstate(error)[:2] in ("22", "23")


DRIVER_ERRORS = (
    DBAPIError,
    PoolTimeout,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    asyncio.TimeoutError,
)
"""Everything that SQLAlchemy, asyncpg and the socket below them raise when a command does not succeed."""


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if not parts.password:
        return url
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()
