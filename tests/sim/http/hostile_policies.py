"""A library of policies that misbehave, and of odd ones that do not: what each does, and what it is told."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET

import trustme

from sim.policy import PolicyFailure
from tests.sim.http.hostile import (
    GOOD_ACTION,
    Answer,
    RawServer,
    accepts,
    acts,
    drips,
    floods,
    http,
    never_answers,
    raw_server,
    says,
    says_and_closes,
)

SHORT_MS, PATIENT_MS = 500, 30_000
"""A deadline that is to be missed, and one that nobody misses whom a busy machine keeps waiting."""
ENDED_S_MAX = 15.0
"""From the first call to the failure: far less than whoever is never ended takes, or ends at the other deadline."""
METADATA = "http://169.254.169.254/latest/meta-data/"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MSGPACK = "Content-Type: application/msgpack"
THOUSANDS_OF_KEYS = b",".join(b'"k%d":0' % number for number in range(5_500))
TWIST = b'{"action":{"continuous":{"ee_twist":%s}}}'


@dataclass(frozen=True)
class Hostile:
    """A policy that forfeits its episodes at once."""

    name: str
    code: PolicyFailure
    detail: str
    """What its miner is told, among other things."""
    act: Answer = acts
    reset: Answer = accepts
    greeting: Answer | None = None
    tls: ssl.SSLContext | None = None
    https: bool = False
    """Whether the endpoint says https, whatever the server speaks."""
    waits_in: str | None = None
    """The call whose deadline ends it; all others end by themselves, however long they are waited for."""

    @property
    def reset_ms(self) -> int:
        return SHORT_MS if self.waits_in == "reset" else PATIENT_MS

    @property
    def act_ms(self) -> int:
        return SHORT_MS if self.waits_in == "act" else PATIENT_MS

    @asynccontextmanager
    async def served(self) -> AsyncIterator[RawServer]:
        async with raw_server(reset=self.reset, act=self.act, greeting=self.greeting, tls=self.tls) as server:
            if self.https:
                server.url = server.url.replace("http:", "https:")
            yield server


def endless(begin: bytes, again: bytes, pause_s: float = 0.0) -> Answer:
    """Says `again` for ever."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


def says_and_resets(message: bytes) -> Answer:
    """Ends the connection with a RST."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(message)
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    return answer


def gzip_bomb() -> bytes:
    """A gigabyte of spaces in a megabyte."""
    return gzip.compress(b" " * (1 << 20), 9) * 1000


def body(text: bytes, *headers: str, status: str = "200 OK") -> Answer:
    return says(http(text, status, *headers))


def twist(values: bytes) -> Answer:
    return body(TWIST % values)


def redirect(status: str, to: str = METADATA) -> Answer:
    return body(b"", f"Location: {to}", status=status)


async def says_a_gigabyte(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 1073741824\r\n\r\n")
    for _ in range(1 << 14):
        writer.write(bytes(1 << 16))
        await writer.drain()


async def ends_the_head_only(writer: asyncio.StreamWriter) -> None:
    """An error whose body comes in a packet of its own, as frameworks send it."""
    writer.write(b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 23\r\n\r\n")
    await asyncio.sleep(0.01)
    writer.write(b'{"detail":"no obs here"}'[:23])


def _silent() -> list[Hostile]:
    code, told = PolicyFailure.DEADLINE_MISSED, "no complete answer within"
    acts = {
        "never answers": never_answers,
        "drips a byte a second": endless(OK + b"Content-Length: 99\r\n\r\n", b" ", 1.0),
        "drips a valid answer": drips,
        "trickles its head": endless(OK + b"X: ", b"y", 0.02),
        "ends in the head": says(OK),
        "promises more than it sends": says(OK + b"Content-Length: 500\r\n\r\n" + GOOD_ACTION),
        "promises a longer chunk": says(CHUNKED + b"ff\r\nhello\r\n0\r\n\r\n"),
        "chunk extensions without end": endless(CHUNKED + b"5;", b"x" * (1 << 16)),
        "100 Continue for ever": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        "102 Processing every 10 ms": endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.01),
        "early hints for ever": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: " + b"a" * 8000 + b"\r\n\r\n"),
        "empty lines for ever": endless(b"", b"\r\n" * 30_000),
    }
    return [
        *(Hostile(name, code, told, act=act, waits_in="act") for name, act in acts.items()),
        *(
            Hostile(name, code, "POST /reset: no complete answer", reset=reset, waits_in="reset")
            for name, reset in (("never answers /reset", never_answers), ("drips its answer to /reset", drips))
        ),
    ]


def _too_large() -> list[Hostile]:
    code, told = PolicyFailure.BODY_TOO_LARGE, "the answer has more than 65536 bytes"
    acts = {
        "answers with 1 GB": says_a_gigabyte,
        "answers without end": floods,
        "a long list of numbers": twist(b"[" + b"0," * 500_000 + b"0]"),
        "many small chunks": endless(CHUNKED, b"1;a=b\r\nx\r\n" * 1000),
    }
    return [
        *(Hostile(name, code, told, act=act) for name, act in acts.items()),
        Hostile("answers /reset without end", code, told, reset=floods),
    ]


def _http() -> list[Hostile]:
    error, refused = PolicyFailure.HTTP_ERROR, PolicyFailure.REDIRECT_REFUSED
    unheard, malformed = PolicyFailure.UNREACHABLE, PolicyFailure.MALFORMED
    cut = "the connection was closed before the answer was complete"
    return [
        Hostile("422 with its reason", error, "status 422; its body begins with '{\"detail", act=ends_the_head_only),
        Hostile("404", error, "status 404; no body came with it", act=body(b"", status="404 Not Found")),
        Hostile("500 and bytes", error, "status 500", act=body(b"\x00\xff" * 600, status="500 Oops")),
        Hostile("503 without a body", error, "status 503", act=says(b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n")),
        Hostile(
            "names itself in an error", error, "server at ...", act=body(b"server at 127.0.0.1", status="502 Bad")
        ),
        Hostile("switches protocols", error, "status 101", act=says(b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n")),
        Hostile("refuses /reset", error, "POST /reset: status 503", reset=body(b"", status="503 Unavailable")),
        *(
            Hostile(f"redirects by {status}", refused, "redirects are not followed", act=redirect(f"{status} Go"))
            for status in (301, 302, 303, 307, 308)
        ),
        Hostile("redirects /reset", refused, "POST /reset: status 307", reset=redirect("307 Go")),
        Hostile("304", refused, "status 304", act=says(b"HTTP/1.1 304 Not Modified\r\n\r\n")),
        Hostile("closes without a word", unheard, "closed without an answer", act=says_and_closes(b"")),
        Hostile("closes in the head", unheard, "closed without an answer", act=says_and_closes(OK + b"Conte")),
        Hostile("resets without a word", unheard, "Connection reset by peer", act=says_and_resets(b"")),
        Hostile("closes in the body", malformed, cut, act=says_and_closes(OK + b"Content-Length: 99\r\n\r\n{")),
        Hostile("closes in a chunk", malformed, cut, act=says_and_closes(CHUNKED + b"ff\r\n{")),
        Hostile("resets in the body", malformed, cut, act=says_and_resets(OK + b"Content-Length: 99\r\n\r\n{")),
    ]


def _not_http() -> list[Hostile]:
    kib = b"x" * 1024
    acts = {
        "speaks SSH": says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        "speaks TLS": says(b"\x15\x03\x01\x00\x02\x02\x46"),
        "speaks HTTP/2": says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"),
        "a status that is none": says(b"HTTP/1.1 2e2 OK\r\n\r\n"),
        "headers without end": endless(OK, b"X: y\r\n" * 1000),
        "a header of 1 MB": says(OK + b"X: " + kib * 1024 + b"\r\n\r\n"),
        "a header without end": endless(OK + b"X: ", kib),
        "a header's name without end": endless(OK, kib),
        "a status without end": endless(b"HTTP/1.1 200 ", kib),
        "100,000 cookies": says(OK + b"Set-Cookie: a=b\r\n" * 100_000 + b"\r\n"),
        "trailers without end": endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
        "sends more than it promised": says(OK + b"Content-Length: 5\r\n\r\n" + GOOD_ACTION),
        "garbage right behind the answer": says(http(GOOD_ACTION) + b"garbage"),
        "a negative length": says(OK + b"Content-Length: -1\r\n\r\n"),
        "a length beyond any integer": says(OK + b"Content-Length: 99999999999999999999999\r\n\r\n"),
        "two lengths": says(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        "a length and chunks": says(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "a chunk size that is no number": says(CHUNKED + b"zz\r\nhello\r\n"),
        "a negative chunk": says(CHUNKED + b"-5\r\nhello\r\n"),
        "a chunk beyond any integer": says(CHUNKED + b"ffffffffffffffffffff\r\nhello\r\n"),
        "a shorter chunk than sent": says(CHUNKED + b"2\r\nhello\r\n0\r\n\r\n"),
        "good chunks, then a bad one": endless(CHUNKED, b"5\r\nhello\r\nzz\r\n", 0.01),
        "a NUL in a header": says(OK + b"X: \x00\r\nContent-Length: 0\r\n\r\n"),
    }
    return [
        Hostile(name, PolicyFailure.MALFORMED, "not HTTP, or not as long as", act=act) for name, act in acts.items()
    ]


def _not_an_action() -> list[Hostile]:
    malformed = PolicyFailure.MALFORMED
    bomb = body(gzip_bomb(), "Content-Encoding: gzip")
    cases: list[tuple[str, str, Answer]] = [
        ("a gzip bomb", "answer without compression", bomb),
        ("a gzip bomb in disguise", "not JSON", body(gzip_bomb()[:60_000])),
        ("compresses with br", "compressed with 'br'", body(GOOD_ACTION, "Content-Encoding: br")),
        ("204", "not JSON", says(b"HTTP/1.1 204 No Content\r\n\r\n")),
        ("an empty body", "not JSON", body(b"")),
        ("a byte order mark", "byte order mark", body(b"\xef\xbb\xbf" + GOOD_ACTION)),
        ("UTF-16", "not JSON", body(GOOD_ACTION.decode().encode("utf-16"))),
        ("a pickle", "not JSON", body(b"\x80\x04\x95\x0f\x00.")),
        ("a list 10,000 deep", "depth limit", body(b"[" * 10_000 + b"]" * 10_000)),
        ("a channel 10,000 deep", "depth limit", twist(b"[" * 10_000 + b"]" * 10_000)),
        ("an object 9,000 deep", "depth limit", body(b'{"a":' * 9_000 + b"0" + b"}" * 9_000)),
        ("null", "expected an object, got null", body(b"null")),
        ("a list", "expected an object, got a list of 0", body(b"[]")),
        ("a boolean", "expected an object, got a boolean", body(b"true")),
        ("a wrong key", "action: missing; there are ['Action']", body(b'{"Action":{}}')),
        ("thousands of wrong keys", "action.continuous: missing", body(b'{"action":{%s}}' % THOUSANDS_OF_KEYS)),
        ("a wrong channel", "(ee_twist, gripper), but ['twist']", body(b'{"action":{"continuous":{"twist":[0]}}}')),
        ("half a surrogate", "surrogate", body(b'{"\\ud800":1}')),
        ("half a surrogate in bytes", "not valid UTF-8", body(b'{"\xed\xa0\x80":1}')),
        ("text that turns around", "action.continuous: missing", body('{"action":{"\u202ex":1}}'.encode())),
        ("a string for a number", "expected a number, got the string '1'", twist(b'["1",0,0,0,0,0]')),
        ("a boolean for a number", "expected a number, got a boolean", twist(b"[true,0,0,0,0,0]")),
        ("null for a number", "NaN and infinities are often written so", twist(b"[null,0,0,0,0,0]")),
        ("MessagePack that ends", "not MessagePack", body(b"\xdf\xff\xff\xff\xff", MSGPACK)),
        ("MessagePack 60,000 deep", "not MessagePack", body(b"\x91" * 60_000, MSGPACK)),
    ]
    return [Hostile(name, malformed, told, act=act) for name, told, act in cases]


def _wrong_numbers() -> list[Hostile]:
    infinite, shape = PolicyFailure.NON_FINITE, PolicyFailure.WRONG_SHAPE
    return [
        Hostile("NaN", infinite, "NaN is not a finite number", act=twist(b"[NaN,0,0,0,0,0]")),
        Hostile("an infinity", infinite, "Infinity is not", act=twist(b"[0,0,0,0,0,-Infinity]")),
        Hostile("1e400", infinite, "a number is too large", act=twist(b"[1e400,0,0,0,0,0]")),
        Hostile("10,000 digits", infinite, "a number is too large", act=twist(b"[" + b"9" * 10_000 + b",0,0,0,0,0]")),
        Hostile("five numbers", shape, "expected 6 numbers, got 5", act=twist(b"[0,0,0,0,0]")),
        Hostile("seven numbers", shape, "expected 6 numbers, got 7", act=twist(b"[0,0,0,0,0,0,0]")),
        Hostile("a number for a list", shape, "expected a list of 6 numbers", act=twist(b"1")),
        Hostile("a string for a list", shape, "got the string 'abc'", act=twist(b'"abc"')),
        Hostile("lists for numbers", shape, "expected a number, got a list", act=twist(b"[[0],0,0,0,0,0]")),
        Hostile("a list 500 deep", shape, "expected 6 numbers, got 1", act=twist(b"[" * 500 + b"]" * 500)),
    ]


def _bad_tls() -> list[Hostile]:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    code = PolicyFailure.UNREACHABLE
    return [
        Hostile("a certificate of its own", code, "TLS: the certificate is not accepted: ", tls=stranger),
        Hostile("HTTP behind https", code, "TLS: no session: ", greeting=body(b"{}"), https=True),
        Hostile(
            "a handshake without end",
            code,
            f"TLS: no session within {SHORT_MS} ms, but a connection",
            https=True,
            waits_in="reset",
        ),
    ]


HOSTILE = [*_bad_tls(), *_silent(), *_too_large(), *_http(), *_not_http(), *_not_an_action(), *_wrong_numbers()]

ODD: dict[str, Answer] = {
    "HTTP/1.0, and the end of the connection for the end of the answer": says_and_closes(
        b"HTTP/1.0 200 OK\r\n\r\n" + GOOD_ACTION
    ),
    "closes after each answer": says_and_closes(http(GOOD_ACTION, "200 OK", "Connection: close")),
    "one interim response": says(b"HTTP/1.1 100 Continue\r\n\r\n" + http(GOOD_ACTION)),
    "chunks and a trailer": says(CHUNKED + b"%x\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(GOOD_ACTION), GOOD_ACTION)),
    "a hundred cookies": body(GOOD_ACTION, *(f"Set-Cookie: a{number}={'b' * 4000}" for number in range(100))),
    "no content type worth the name": body(GOOD_ACTION, "Content-Type: \x7f;;;"),
    "keys twice, of which the last counts": body(
        b'{"action":{"continuous":{"ee_twist":[1]},"continuous":{"ee_twist":[0.5,0,0,0,0,0]}}}'
    ),
    "negative zeros and denormals": twist(b"[0.5,-0.0,5e-324,1e-400,-5e-324,0]"),
    "an integer of 300 digits, which is brought into bounds": twist(b"[0.5,0,0,0,0," + b"9" * 300 + b"]"),
}
"""Policies that are unusual and fine."""
