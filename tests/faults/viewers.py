"""Browsers that stay through all faults, and the law that they are held to.

Snapshot + updates = a fresh snapshot, of the same worker, = what is in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.live.model import Store

from .cluster import Cluster
from .load import come_true

GROUP = "floor"
# As a page: at once, then a little later.
RETRY_SECONDS = 0.2
# A worker that is stopped does not answer.
OPEN_SECONDS = 5.0
# Until a new page has its snapshot.
FRESH_SECONDS = 30.0
# The hub says something every 15 s; a page reconnects when it does not.
SILENCE_SECONDS = 20.0


class Viewer:
    """One page that follows the group on one worker."""

    def __init__(self, cluster: Cluster, worker: str, cookie: str) -> None:
        self.worker = worker
        self.store = Store()
        self.connects = 0
        self.resets: list[str] = []
        self._cluster, self._cookie = cluster, cookie
        self._epoch: str | None = None

    async def run(self) -> None:
        """Follow, and come back after each loss, until cancelled."""
        while True:
            with contextlib.suppress(
                OSError, asyncio.TimeoutError, ConnectionClosed, InvalidHandshake
            ):
                async with self._open() as socket:
                    await self._follow(socket)
            await asyncio.sleep(RETRY_SECONDS)

    async def fresh(self) -> Store:
        """What a new page on the same worker is shown."""
        return await asyncio.wait_for(self._fresh(), FRESH_SECONDS)

    async def _fresh(self) -> Store:
        store = Store()
        async with self._open() as socket:
            await self._subscribe(socket, {})
            while store.revision is None:
                store.take(json.loads(await socket.recv()))
        return store

    def _open(self) -> connect:
        hub = self._cluster.hub
        return unix_connect(
            str(self._cluster.socket_path(self.worker)),
            uri=f"ws://127.0.0.1:{hub.port}/ws/live",
            origin=hub.url,
            subprotocols=["hub.live.v1"],
            additional_headers={"Cookie": self._cookie},
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=1,
            max_size=None,
        )

    async def _subscribe(
        self, socket: ClientConnection, resume: Mapping[str, Any]
    ) -> None:
        await _send(socket, type="hello", interval_ms=100)
        await _send(socket, type="subscribe", id=1, groups=[GROUP], **resume)

    async def _follow(self, socket: ClientConnection) -> None:
        # Half a snapshot of the last connection is no part of the next.
        self.store._pages = []
        resume = {}
        if self._epoch is not None and self.store.revision is not None:
            revisions = {GROUP: self.store.revision}
            resume = {"resume": {"epoch": self._epoch, "revisions": revisions}}
        await self._subscribe(socket, resume)
        while True:
            frame = await asyncio.wait_for(socket.recv(), SILENCE_SECONDS)
            message: dict[str, Any] = json.loads(frame)
            await self._take(socket, message)

    async def _take(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "welcome":
            self._epoch = message["epoch"]
            self.connects += 1
        elif kind == "reset":
            self.resets.append(message["reason"])
        if message.get("group") == GROUP:
            self.store.take(message)
        if kind in ("update", "snapshot"):
            await _send(socket, type="ack", group=GROUP, revision=message["revision"])


@contextlib.asynccontextmanager
async def following(viewers: list[Viewer]) -> AsyncIterator[list[Viewer]]:
    """All of them watch in here."""
    tasks = [asyncio.ensure_future(viewer.run()) for viewer in viewers]
    try:
        yield viewers
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def assert_right(
    viewers: list[Viewer], last: Mapping[str, int], after: str
) -> None:
    """While nothing is sent: every page shows the last values, as a new page does.

    last: the last value of each device that is looked at. Waits until it is so, as
    long as one who looks at the page may have to: for a worker to be back, for what
    it lost.
    """
    for viewer in viewers:
        where = f"the page on {viewer.worker} after {after}"
        await come_true(
            lambda viewer=viewer: not difference(viewer.store, last),
            lambda viewer=viewer, where=where: (
                f"{where} shows the last values: {difference(viewer.store, last)}"
            ),
        )
        # Whatever died: who is connected is online, on every worker's pages.
        await come_true(
            lambda viewer=viewer: not offline(viewer.store, last),
            lambda viewer=viewer, where=where: (
                f"{where} shows all online, not {offline(viewer.store, last)} offline"
            ),
        )
        await _assert_as_fresh(viewer, where)


async def _assert_as_fresh(viewer: Viewer, where: str) -> None:
    """Presence may still change: so look again, until both are of one moment."""
    wrong = "no fresh snapshot came"

    async def look() -> bool:
        nonlocal wrong
        try:
            fresh = await viewer.fresh()
        except (OSError, asyncio.TimeoutError, ConnectionClosed, InvalidHandshake):
            return False
        held = viewer.store.held()
        wrong = f"held {held}, a new page {fresh.held()}"
        return bool(held == fresh.held())

    for _ in range(100):
        if await look():
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{where} is not what a new page is shown: {wrong[:3_000]}")


def values(store: Store) -> dict[str, int]:
    """The last value of each device that the page shows."""
    return {
        series[1]: int(store.rows[id_][2])
        for id_, series in store.series.items()
        if id_ in store.rows
    }


def offline(store: Store, devices: Iterable[str]) -> list[str]:
    """Those of the devices that the page does not show as online."""
    shown = store.devices
    return [slug for slug in devices if slug not in shown or not shown[slug][2]]


def difference(store: Store, last: Mapping[str, int]) -> str:
    shown = values(store)
    return ", ".join(
        f"{slug} {shown.get(slug)} instead of {value}"
        for slug, value in last.items()
        if shown.get(slug) != value
    )


async def _send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))
