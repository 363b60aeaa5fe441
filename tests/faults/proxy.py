"""A bad network: a TCP proxy that cuts, delays, truncates and falls silent.

Each connection through it has a fate, drawn when it begins. A fate comes true after
some bytes, so that it strikes inside a handshake, a frame or between a commit and
its ack.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

# cut: both ends see a reset. close: both see an end. truncate: the hub gets a part
# of what was sent, then an end, while the device hears on. deaf: nothing comes
# through any more, either way, and nobody is told. delay: all comes, late and in
# pieces, and then an end.
FATES = ("cut", "close", "truncate", "deaf", "delay")
READ_BYTES = 4_096
# As much as a device sends in a second here: some live through their handshake only.
MOST_BYTES = 20_000
SOON_BYTES = 2_000
DELAY_SECONDS = 0.1
# How long nobody is told; a device gives up after 2 heartbeats of silence.
DEAF_SECONDS = 8.0


class Proxy:
    """Listens on a free port and passes on to `target`, a port or a unix socket.

    fates: what may happen to a new connection; none: it is left alone. Change it at
    any time.
    """

    def __init__(self, target: int | str, rng: random.Random) -> None:
        self.target = target
        self.fates: Sequence[str] = ()
        # What has come true, by fate.
        self.struck: Counter[str] = Counter()
        self.numbers = itertools.count()
        self._rng = rng
        self._links: set[_Link] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for link in tuple(self._links):
            link.abort()
        await asyncio.gather(
            *(link.over.wait() for link in tuple(self._links)), return_exceptions=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut_all(self, *, reset: bool = True) -> int:
        """Cut every connection now; returns how many there were."""
        links = tuple(self._links)
        for link in links:
            link.abort(reset=reset)
        return len(links)

    async def strike(self, fate: str) -> None:
        """One of the connections meets this fate; returns when it has."""
        before = self.struck.total()
        while self.struck.total() == before:
            # By age: the order of a set of objects is another in each run.
            links = sorted(self._links, key=lambda link: link.number)
            if links:
                self._rng.choice(links).arm(fate)
            # It may have ended of itself, or say nothing.
            for _ in range(100):
                await asyncio.sleep(0.01)
                if self.struck.total() != before:
                    return

    def fall_silent(self) -> None:
        """From now on nothing comes through on the connections that there are."""
        for link in self._links:
            link.is_deaf = True

    def heal(self) -> None:
        """From now on all is well: also for who hears nothing, by a new connection."""
        self.fates = ()
        self.cut_all()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            if isinstance(self.target, int):
                far = await asyncio.open_connection("127.0.0.1", self.target)
            else:
                far = await asyncio.open_unix_connection(self.target)
        except OSError:
            # As without a proxy: nobody listens.
            _reset(writer)
            return
        fate = self._rng.choice(self.fates) if self.fates else None
        link = _Link(self, fate, self._rng, (reader, writer), far)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: Proxy,
        fate: str | None,
        rng: random.Random,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.over = asyncio.Event()
        self.number = next(proxy.numbers)
        self.is_deaf = False
        self._proxy = proxy
        self._fate = fate
        self._rng = rng
        self._near, self._far = near, far
        self._left = rng.randint(1, MOST_BYTES)
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        self._pumps = [
            asyncio.ensure_future(self._pump(self._near[0], self._far[1], True)),
            asyncio.ensure_future(self._pump(self._far[0], self._near[1], False)),
        ]
        try:
            await asyncio.wait(self._pumps)
        finally:
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for writer in (self._near[1], self._far[1]):
                writer.transport.abort()
            self.over.set()

    def arm(self, fate: str) -> None:
        """Let it come true within the next bytes of a few batches."""
        self._fate, self._left = fate, self._rng.randint(1, SOON_BYTES)

    def abort(self, *, reset: bool = True) -> None:
        """End it both ways; `reset`: at once, what is unsent is thrown away."""
        for writer in (self._near[1], self._far[1]):
            if reset:
                _reset(writer)
            else:
                writer.close()
        for pump in self._pumps:
            pump.cancel()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_up: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(READ_BYTES):
                if not await self._forward(piece, writer, is_up):
                    return
            if not self.is_deaf:
                writer.write_eof()

    async def _forward(
        self, piece: bytes, writer: asyncio.StreamWriter, is_up: bool
    ) -> bool:
        """Pass a piece on, or let the fate come true; False: this way is over."""
        if self.is_deaf:
            return True
        before, self._left = self._left, self._left - len(piece)
        if self._fate == "delay":
            await self._trickle(piece, writer)
        if self._fate is None or self._left > 0 or before <= 0:
            if self._fate != "delay":
                writer.write(piece)
                await writer.drain()
            return True
        if self._fate != "delay":
            writer.write(piece[:before])
        self._proxy.struck[self._fate] += 1
        if self._fate == "deaf":
            self.is_deaf = True
            asyncio.get_running_loop().call_later(DEAF_SECONDS, self.abort)
            return True
        if self._fate == "truncate" and is_up:
            await writer.drain()
            writer.write_eof()
            return False
        self.abort(reset=self._fate == "cut")
        return False

    async def _trickle(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        """The piece, in two, each after a while."""
        middle = self._rng.randint(0, len(piece))
        for part in (piece[:middle], piece[middle:]):
            await asyncio.sleep(self._rng.uniform(0, DELAY_SECONDS))
            writer.write(part)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
