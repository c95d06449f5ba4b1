"""Exports from anybody's API, checked as they come.

ApiTrouble    it does not answer, refuses, or breaks off
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from events.export import LINE_BYTES_MAX, Decoder, Encoder, ExportError, Sink, Trailer
from events.ids import CycleId
from events.log import Stored
from events.public_api import refused

PAGE_EVENTS = 100_000
"""How many events are asked for at once: some 70 MB."""

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
"""An export takes as long as it takes, but not without a word."""


class ApiTrouble(ExportError):
    """The API does not answer, refuses, or breaks off."""


async def fetch_cycle(session: aiohttp.ClientSession, base_url: str, cycle: CycleId, sink: Sink) -> Trailer:
    """Writes the API's export of one cycle.

    Raises:
        ApiTrouble, BadExport: it came not, or not whole.
    """
    encoder = Encoder()
    page = await _page(session, f"{base_url}/v1/cycles/{cycle}/events", encoder, sink)
    return _finish(encoder, page.first_sequence, page.last_sequence, sink)


async def fetch_log(
    session: aiohttp.ClientSession, base_url: str, after: int, sink: Sink, *, page_events: int = PAGE_EVENTS
) -> Trailer:
    """Writes one export of all past `after`, which the API gives in pages of `page_events`, 1 to 1,000,000.

    Raises:
        ApiTrouble, BadExport: it came not, or not whole.
    """
    encoder, last = Encoder(), after
    while True:
        url = f"{base_url}/v1/events?after={last}&limit={page_events}"
        page = await _page(session, url, encoder, sink)
        if not page.whole or page.first_sequence != last + 1:
            raise ApiTrouble(
                f"{url} answered with sequences {page.first_sequence} to {page.last_sequence}"
                f" in {page.count} events: expected all from {last + 1} on; its log is damaged"
            )
        last = page.last_sequence
        if page.count < page_events:
            return _finish(encoder, after + 1, last, sink)


def _finish(encoder: Encoder, first: int, last: int, sink: Sink) -> Trailer:
    trailer = encoder.trailer(first, last)
    sink.write(trailer.line())
    return trailer


async def _page(session: aiohttp.ClientSession, url: str, encoder: Encoder, sink: Sink) -> Trailer:
    decoder = Decoder()
    try:
        async with session.get(url, timeout=TIMEOUT, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ApiTrouble((await refused(answer, url)).refusal)
            async for line in lines(answer.content.iter_any()):
                if event := decoder.take(line):
                    sink.write(encoder.line(Stored(0, event.subject, event.body)))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ApiTrouble(
            f"{url}: {type(error).__name__} after {decoder.count} events: {error}; try again, or correct --api-url"
        ) from error
    return decoder.end()


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines; what is left at the end, or too long to be a line, comes without its line feed."""
    rest = bytearray()
    async for chunk in chunks:
        *ended, last = chunk.split(b"\n")
        for part in ended:
            yield bytes(rest) + part + b"\n"
            rest.clear()
        rest += last
        if len(rest) > LINE_BYTES_MAX:
            break
    if rest:
        yield bytes(rest)
