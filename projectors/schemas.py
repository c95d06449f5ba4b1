"""The PostgreSQL schemas of projections: one each, created, dropped and swapped as a whole; no migrations."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateSchema, DropSchema

from projectors import checkpoint
from projectors.checkpoint import CHECKPOINT, Checkpoint, Fenced
from projectors.projector import Projection


def next_of(projection: Projection) -> str:
    """The schema in which a rebuild builds."""
    return f"{projection.name}_next"


def old_of(projection: Projection) -> str:
    """Where the tables that a rebuild has replaced wait to be dropped."""
    return f"{projection.name}_old"


def scoped(engine: AsyncEngine, projection: Projection, schema: str) -> AsyncEngine:
    """The same pool, with the projection's tables found in `schema`."""
    return engine.execution_options(schema_translate_map={None: schema, projection.name: schema})


async def ensure(engine: AsyncEngine, projection: Projection) -> None:
    """Creates the projection's schema with empty tables, if it is not there."""
    async with _durable(scoped(engine, projection, projection.name)) as connection:
        await _lock_for_transaction(connection, projection)
        if not await exists(connection, projection.name):
            await create(connection, projection, projection.name)


async def create(connection: AsyncConnection, projection: Projection, schema: str) -> None:
    """Empty tables and a checkpoint at 0, within the transaction that is open on `connection`."""
    await connection.execute(CreateSchema(schema))
    await connection.run_sync(projection.metadata.create_all, checkfirst=False)
    await connection.run_sync(CHECKPOINT.metadata.create_all, checkfirst=False)
    await checkpoint.create(connection, projection.version)


async def drop(connection: AsyncConnection, schema: str) -> None:
    await connection.execute(DropSchema(schema, cascade=True, if_exists=True))


async def hold(connection: AsyncConnection, schema: str) -> None:
    """Keeps everybody else from writing in the schema until the transaction ends, if it is there.

    A process whose builder was killed locks the checkpoint, then the table that it still appends to. Dropping locks
    them in any order: without this, each could wait for the other.
    """
    if await exists(connection, schema):
        await connection.execute(text(f'LOCK TABLE "{schema}".checkpoint IN ACCESS EXCLUSIVE MODE'))


async def exists(connection: AsyncConnection, schema: str) -> bool:
    found = await connection.scalar(
        text("SELECT true FROM pg_namespace WHERE nspname = :name").bindparams(name=schema)
    )
    return bool(found)


async def live_checkpoint(connection: AsyncConnection, projection: Projection) -> Checkpoint | None:
    """Of the tables that are read now; None where there are none. Sets the connection's schema translation."""
    return await _translated(connection, projection.name)


async def positions(connection: AsyncConnection, projections: Sequence[Projection]) -> dict[Projection, int]:
    """The newest sequence that the live tables of each have seen. Sets the connection's schema translation."""
    found = {it: await live_checkpoint(connection, it) for it in projections}
    return {it: checkpoint.sequence for it, checkpoint in found.items() if checkpoint is not None}


async def generations(connection: AsyncConnection, projections: Sequence[Projection]) -> list[int | None]:
    """Which tables are live: other numbers after each swap."""
    query = text("SELECT oid::bigint FROM pg_namespace WHERE nspname = :name")
    return [await connection.scalar(query.bindparams(name=it.name)) for it in projections]


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection that sees everything as it is at the first question, for as long as this is open."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            yield connection


async def swap(engine: AsyncEngine, projection: Projection, built: Checkpoint, *, log_last_sequence: int) -> bool:
    """Puts what was built in place of the live tables, in one transaction, unless the live ones have seen more.

    Only names change, so no reader waits. A projector that is about to write to the replaced tables finds their
    checkpoint retired. Returns whether the swap took place; after False, project further and try again.

    Raises:
        Fenced: what was built is not as `built` says: another process has begun to build.
    """
    async with _durable(engine) as connection:
        await _lock_for_transaction(connection, projection)
        live = await _translated(connection, projection.name, lock=True)
        if await _translated(connection, next_of(projection), lock=True) != built:
            raise Fenced(f"the tables in {next_of(projection)} are being built by another process")
        await drop(connection, old_of(projection))
        if live is not None:
            same_log = live.log_identity == built.log_identity
            if same_log and built.sequence < min(live.sequence, log_last_sequence):
                return False
            await connection.execution_options(schema_translate_map={None: projection.name})
            await checkpoint.retire(connection)
            await _rename(connection, projection.name, old_of(projection))
        await _rename(connection, next_of(projection), projection.name)
    async with engine.begin() as connection:
        await drop(connection, old_of(projection))
    return True


@asynccontextmanager
async def building(engine: AsyncEngine, projection: Projection) -> AsyncIterator[bool]:
    """Holds the right to rebuild this projection; yields False if another process has it.

    The lock belongs to the session: it ends with the process, however that ends.
    """
    key = _lock_key(f"build {projection.name}")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        got = bool(await connection.scalar(text("SELECT pg_try_advisory_lock(:key)").bindparams(key=key)))
        try:
            yield got
        finally:
            if got:
                await connection.execute(text("SELECT pg_advisory_unlock(:key)").bindparams(key=key))


@asynccontextmanager
async def _durable(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that is on disk when it ends. Those that write rows may be taken back by a crash."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL synchronous_commit TO on"))
        yield connection


async def _translated(connection: AsyncConnection, schema: str, *, lock: bool = False) -> Checkpoint | None:
    if not await exists(connection, schema):
        return None
    await connection.execution_options(schema_translate_map={None: schema})
    return await checkpoint.read(connection, lock=lock)


async def _rename(connection: AsyncConnection, schema: str, name: str) -> None:
    quote = connection.dialect.identifier_preparer.quote
    await connection.execute(text(f"ALTER SCHEMA {quote(schema)} RENAME TO {quote(name)}"))


async def _lock_for_transaction(connection: AsyncConnection, projection: Projection) -> None:
    key = _lock_key(f"schema {projection.name}")
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=key))


def _lock_key(name: str) -> int:
    digest = hashlib.sha256(f"kinitro {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
