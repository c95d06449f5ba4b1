"""A node: a chain's JSON-RPC over a real websocket, with the faults that a test switches on."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from aiohttp import WSMsgType, web

from tests.chain.chain import Block, Chain, InvalidTransaction, hash_of_extrinsic
from tests.chain.rpc import Rpc, RpcError, header

_SUBMISSIONS = ("author_submitExtrinsic", "author_submitAndWatchExtrinsic")
_HEADS = {"chain_subscribeNewHeads": "new", "chain_subscribeFinalizedHeads": "finalized"}
_ENDINGS = ("chain_unsubscribeNewHeads", "chain_unsubscribeFinalizedHeads", "author_unwatchExtrinsic")


class Fate(Enum):
    """What becomes of a submission."""

    KNOWN = auto()
    """It is taken, and who watches it is told what happens to it."""
    TAKEN_AND_CUT = auto()
    """It is taken, but the connection breaks before the answer: its fate is unknown."""
    LOST_AND_CUT = auto()
    """The connection breaks, and the extrinsic is lost: from outside, the same."""
    DROPPED = auto()
    """Taken, then thrown out of the pool; the watcher is told."""
    REFUSED = auto()
    """Not taken: invalid transaction."""


@dataclass(eq=False)
class _Client:
    """One connection. What goes out waits in a queue, so that its order is kept."""

    transport: asyncio.Transport
    out: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    heads: dict[str, str] = field(default_factory=dict)
    """Subscription to kind."""
    watches: dict[str, str] = field(default_factory=dict)
    """Subscription to hash of the extrinsic."""

    def tell(self, subscription: str, result: object) -> None:
        params = {"subscription": subscription, "result": result}
        self.out.put_nowait(json.dumps({"jsonrpc": "2.0", "method": "update", "params": params}))


class Node:
    """Serves `chain` at `url`, which stays the same through `stop` and `start`. Several may serve one chain.

    Faults: `cut()` breaks all connections now, `cut_after(n)` instead of an answer to the n-th message from now;
    `stop()` refuses connections until `start()`; while `silent`, nothing is answered; `delay_s` comes before every
    answer; `fate` is that of submissions. `before`, if set, is called with method and parameters of each request
    before it is answered: there a test moves the chain at a certain moment, or raises an `RpcError`.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.calls: Counter[str] = Counter()
        """Requests that came in, by method; each of a batch counts."""
        self.connections = 0
        """Since the beginning."""
        self.silent = False
        self.delay_s = 0.0
        self.fate = Fate.KNOWN
        self.before: Callable[[str, Sequence[Any]], None] = lambda _method, _params: None
        self._cut_in: int | None = None
        self._rpc = Rpc(chain)
        self._clients: set[_Client] = set()
        self._runner: web.AppRunner | None = None
        self._subscriptions = (f"sub{number}" for number in itertools.count(1))
        # Bound for as long as the node lives, and never listening: nobody else gets the port while it is stopped.
        self._reservation = _bound(0)
        self._port: int = self._reservation.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self._port}"
        chain.listeners.append(self)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.SockSite(self._runner, _bound(self._port)).start()

    async def stop(self) -> None:
        """Breaks all connections and refuses new ones."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for site in list(runner.sites):
                await site.stop()
            self.cut()
            await runner.cleanup()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def close(self) -> None:
        await self.stop()
        self.chain.listeners.remove(self)
        self._reservation.close()

    def cut(self) -> None:
        for client in list(self._clients):
            client.transport.abort()

    def cut_after(self, messages: int) -> None:
        """The n-th message from now, 1 being the next, is answered with a broken connection."""
        assert messages > 0
        self._cut_in = messages

    @property
    def open_connections(self) -> int:
        return len(self._clients)

    @property
    def subscriptions(self) -> int:
        """To heads, open now."""
        return sum(len(client.heads) for client in self._clients)

    # what the chain tells

    def produced(self, block: Block) -> None:
        self._to_heads("new", block)
        self._to_watchers(block, {"inBlock": block.hash})

    def finalized(self, block: Block) -> None:
        self._to_heads("finalized", block)
        self._to_watchers(block, {"finalized": block.hash})

    def retracted(self, block: Block) -> None:
        self._to_watchers(block, {"retracted": block.hash})

    def _to_heads(self, kind: str, block: Block) -> None:
        for client in self._clients:
            for subscription, wanted in client.heads.items():
                if wanted == kind:
                    client.tell(subscription, header(block))

    def _to_watchers(self, block: Block, status: object) -> None:
        hashes = {hash_of_extrinsic(each) for each in block.extrinsics}
        for client in self._clients:
            for subscription, extrinsic_hash in client.watches.items():
                if extrinsic_hash in hashes:
                    client.tell(subscription, status)

    # connections

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse(max_msg_size=2**26)
        await socket_.prepare(request)
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        client = _Client(transport)
        self._clients.add(client)
        self.connections += 1
        sender = asyncio.create_task(_send(client, socket_))
        try:
            async for message in socket_:
                if message.type is WSMsgType.TEXT:
                    await self._receive(client, json.loads(message.data))
        finally:
            self._clients.discard(client)
            sender.cancel()
        return socket_

    async def _receive(self, client: _Client, message: Any) -> None:
        requests = message if isinstance(message, list) else [message]
        if self._cut_in is not None:
            self._cut_in -= 1
            if self._cut_in == 0:
                self._cut_in = None
                client.transport.abort()
                return
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        answers = [self._answer(client, each) for each in requests]
        if None not in answers and not self.silent:
            client.out.put_nowait(json.dumps(answers if isinstance(message, list) else answers[0]))

    def _answer(self, client: _Client, request: Any) -> dict[str, Any] | None:
        """None where there is none: the connection is gone."""
        method, params = request["method"], request.get("params") or []
        self.calls[method] += 1
        answer = {"jsonrpc": "2.0", "id": request["id"]}
        if self.silent:
            return answer
        try:
            self.before(method, params)
            if method in _SUBMISSIONS and self.fate in (Fate.TAKEN_AND_CUT, Fate.LOST_AND_CUT):
                self._cut_submission(client, params[0])
                return None
            return {**answer, "result": self._result(client, method, params)}
        except RpcError as error:
            return {**answer, "error": error.error}
        except (LookupError, ValueError, TypeError, NotImplementedError) as error:
            # A mistake of the stub's, or of a test: better told than seen as one more broken connection.
            return {**answer, "error": {"code": -32603, "message": f"the stub failed: {error!r}"}}

    def _result(self, client: _Client, method: str, params: Sequence[Any]) -> Any:
        if method in _HEADS:
            subscription = next(self._subscriptions)
            client.heads[subscription] = _HEADS[method]
            asyncio.get_running_loop().call_soon(client.tell, subscription, header(self._newest(_HEADS[method])))
            return subscription
        if method in _ENDINGS:
            return (client.heads.pop(params[0], None) or client.watches.pop(params[0], None)) is not None
        if method in _SUBMISSIONS:
            return self._submit(client, method, params[0])
        return self._rpc.answer(method, params)

    def _newest(self, kind: str) -> Block:
        return self.chain.head if kind == "new" else self.chain.last_finalized

    # submissions

    def _submit(self, client: _Client, method: str, extrinsic: str) -> str:
        if self.fate is Fate.REFUSED:
            raise RpcError(1010, "Invalid Transaction", "Transaction has a bad signature")
        extrinsic_hash = self._take(extrinsic)
        loop = asyncio.get_running_loop()
        if self.fate is Fate.DROPPED:
            self.chain.pool.remove(extrinsic)
        elif self.chain.instant:
            loop.call_soon(self.chain.advance)
        if method == "author_submitExtrinsic":
            return extrinsic_hash
        subscription = next(self._subscriptions)
        client.watches[subscription] = extrinsic_hash
        client.tell(subscription, "dropped" if self.fate is Fate.DROPPED else "ready")
        return subscription

    def _cut_submission(self, client: _Client, extrinsic: str) -> None:
        if self.fate is Fate.TAKEN_AND_CUT:
            self._take(extrinsic)
            if self.chain.instant:
                self.chain.advance()
        client.transport.abort()

    def _take(self, extrinsic: str) -> str:
        try:
            return self.chain.submit(extrinsic)
        except InvalidTransaction as invalid:
            raise RpcError(1010, "Invalid Transaction", str(invalid)) from invalid


async def _send(client: _Client, socket_: web.WebSocketResponse) -> None:
    while True:
        text = await client.out.get()
        try:
            await socket_.send_str(text)
        except ConnectionError:
            return


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@asynccontextmanager
async def running(chain: Chain) -> AsyncIterator[Node]:
    """A node that serves this chain."""
    node = Node(chain)
    await node.start()
    try:
        yield node
    finally:
        await node.close()
