"""A process of the hub that commits, keeps up, and keeps the history."""

from __future__ import annotations

import threading

from telemetry.history.catch_up import CatchUp
from telemetry.history.heads import HeadRow
from telemetry.history.journal import open_writer
from telemetry.history.keeper import Keeper
from telemetry.history.models import Writer
from telemetry.history.raw_from import RawFrom
from telemetry.history.room import Room
from telemetry.history.rounds import Rounds
from telemetry.history.tail import Tail
from telemetry.protocol import clock

from .rows import columns_of, write


class Process:
    """Its catching up and its keeper, with the tail that its own commits fill."""

    def __init__(self, seal_readings: int = 10, seal_seconds: float = 3_600) -> None:
        self.raw_froms: list[RawFrom] = []
        self.heads: list[HeadRow] = []
        self.tail = Tail(1_000)
        self.room = Room(1_000_000, 0)
        self.writer = open_writer(clock.now_us()).id
        self.number = 0
        self.catch_up = CatchUp(
            self.tail, self.room, self.raw_froms.append, self.heads.extend
        )
        stopping = threading.Event()
        self.keeper = Keeper(
            self.room,
            stopping,
            self.catch_up.let_go,
            seal_readings=seal_readings,
            seal_seconds=seal_seconds,
            sessions_per_device=8,
        )
        self.rounds = Rounds("upkeep", stopping, self.catch_up.look, self.keeper.look)

    def look(self) -> None:
        """One round, as a hub of one process makes it."""
        self.catch_up.look()
        self.keeper.look()

    def commit(self, count: int, received_us: int | None = None) -> None:
        now = clock.now_us()
        self.number += 1
        readings = [(1, now + at, float(at)) for at in range(count)]
        write(self.writer, self.number, *readings, received_us=received_us or now)
        self.tail.add(self.writer, self.number, columns_of(readings))
        Writer.objects.filter(id=self.writer).update(folded_to=self.number)
