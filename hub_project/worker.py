"""One of several workers: its parent hands it connections, and it has a socket too."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import stat
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Protocol

from uvicorn import Config

from .child_line import ChildLine, Cut
from .server import BACKLOG, HubServer

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
# Who was given last gets so long to ask something before the end begins.
LAST_GIVEN_SECONDS = 0.1
# Its owner and its group, to which the proxy belongs; nobody else.
SOCKET_MODE = 0o660


class Application(Protocol):
    """What this needs of `asgi.HubApplication`, which loads every room."""

    def announce_end(self) -> None: ...
    def drain(self, until: float) -> Awaitable[None]: ...


class WorkerServer(HubServer):
    """uvicorn as a worker runs it.

    path: of its own unix socket, for a proxy that chooses the worker. wait_seconds:
    how long it says that it is leaving before it does.
    """

    def __init__(
        self,
        config: Config,
        application: Application,
        line: ChildLine,
        path: Path,
        wait_seconds: float,
        *,
        drain_seconds: float,
        is_process: bool = False,
    ) -> None:
        super().__init__(
            config,
            application.drain,
            drain_seconds=drain_seconds,
            is_process=is_process,
        )
        self._application = application
        self._line = line
        self._path = path
        self._wait_seconds = wait_seconds
        # Taken, and not served yet: TLS may take a while.
        self._connecting = 0
        # Of the socket at `path`, as long as it is this worker's.
        self._place: tuple[int, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def most_seconds(self) -> float:
        return self._wait_seconds + super().most_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        loop = asyncio.get_running_loop()
        # Without TLS, whatever the public socket has: it is on this machine.
        bound = listen_unix(self._path)
        self._place = place_of(self._path)
        own = await loop.create_unix_server(
            self._new_protocol, sock=bound, backlog=BACKLOG
        )
        self.servers.append(own)
        loop.add_reader(self._line.fileno(), self._on_line)
        self._line.say_ready()
        self._run(self._beat())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.announce_end()
        await self._pass_time(self._wait_seconds)
        self._line.say_leaving()
        self._take_the_last()
        self._remove_socket()
        await self._pass_time(LAST_GIVEN_SECONDS)
        await super().shutdown(sockets)
        for task in self._tasks:
            task.cancel()

    def _take_the_last(self) -> None:
        """All that the parent gave before it could hear that this worker is leaving.

        What it gives later goes to another worker, however late the parent is.
        """
        asyncio.get_running_loop().remove_reader(self._line.fileno())
        self._line.end()
        with contextlib.suppress(Cut):
            while self._take_given():
                pass

    def _remove_socket(self) -> None:
        """A proxy that finds nothing there goes to another worker at once."""
        if self._place is not None and place_of(self._path) == self._place:
            self._path.unlink(missing_ok=True)
        self._place = None

    async def _pass_time(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until and not self.force_exit:
            await asyncio.sleep(0.05)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_line(self) -> None:
        try:
            self._take_given()
        except Cut:
            logger.warning("the parent is gone: this worker ends")
            # The next parent's worker will want the path.
            self._remove_socket()
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self.handle_exit(signal.SIGTERM, None)

    def _take_given(self) -> bool:
        """Whether there was anybody. Raises Cut."""
        lost = self._line.lost
        given = self._line.take()
        for connection in given:
            self._connecting += 1
            self._run(self._connect(connection))
        if self._line.lost > lost:
            logger.error("a connection was lost: too many open files")
        return bool(given)

    async def _connect(self, connection: socket.socket) -> None:
        """Serve a connection that the parent has accepted."""
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                self._new_protocol,
                connection,
                ssl=self.config.ssl,
                ssl_handshake_timeout=self._handshake_seconds,
            )
        except OSError:
            # The peer is gone, or does not speak TLS, or says nothing.
            connection.close()
        finally:
            self._connecting -= 1

    async def _beat(self) -> None:
        while True:
            connected = len(self.server_state.connections)
            self._line.say_alive(connected + self._connecting)
            await asyncio.sleep(BEAT_SECONDS)


def listen_unix(path: Path) -> socket.socket:
    """A bound unix socket; one that a worker left behind is removed.

    Raises OSError if the path is not to be had: a process listens there, something
    else is there, or it is too long for the address of a socket.
    """
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file, and no socket", str(path))
    if is_listening(path):
        raise OSError(errno.EADDRINUSE, "another process listens there", str(path))
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        # Nobody can connect before it listens.
        os.chmod(path, SOCKET_MODE)
    except OSError:
        bound.close()
        raise
    return bound


def is_listening(path: Path) -> bool:
    """Whether a process listens at a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Full is listening too; and it must not wait.
        probe.setblocking(False)
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)


def place_of(path: Path) -> tuple[int, int] | None:
    """Which file is at a path, if one is."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
