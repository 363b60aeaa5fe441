"""What other processes are told of the topics that they watch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from .. import counters
from ..bus.switchboard import Switchboard
from ..history.tick import Tick
from . import remote
from .members import Heads, head_rows
from .rows import Rows, merge, single
from .topic_rows import HeadRows
from .watched import Watched


class Telling:
    """Gathers rows from tick to tick; one message a topic carries them merged."""

    def __init__(self, heads: Heads, switchboard: Switchboard) -> None:
        self._heads = heads
        self._switchboard = switchboard
        # The last commit of this process; 0: none yet.
        self._writer = 0
        self._number = 0

    def committed(self, tick: Tick) -> None:
        """What is offered from now on begins behind this commit."""
        self._writer, self._number = tick.writer, tick.number

    def offer(self, watched: Watched) -> None:
        """Say, where it is wanted, that all news are published from now on."""
        self._switchboard.offer(watched.topic, self._writer, self._number)

    def add(self, watched: Watched, rows: Rows, received_us: int) -> None:
        """Keep rows of the last commit for the next message, if anybody wants it."""
        if watched.topic in self._switchboard.wanted():
            news = watched.news
            news.rows.append(rows)
            news.writer, news.number = self._writer, self._number
            news.received_us = max(news.received_us, received_us)

    def add_heads(self, watched: Watched, series_ids: Collection[int]) -> None:
        """Series that came: what they had before the topic knew them was not told."""
        heads = self._heads.current(series_ids)
        if heads:
            received_us = max(head.received_us for head in heads.values())
            self.add(watched, _as_rows(watched, head_rows(heads)), received_us)

    def publish(self, watched: Watched) -> None:
        """Tell what has gathered."""
        news = watched.news
        if not news.rows:
            return
        rows, ids = merge(news.rows), watched.state.ids
        periods_us = self._heads.periods_us(remote.series_of(rows, ids))
        payload = remote.pack(rows, ids, news.received_us, periods_us)
        news.rows = []
        counters.BUS_PUBLISHED.inc()
        self._switchboard.publish(watched.topic, payload, news.writer, news.number)


def _as_rows(watched: Watched, heads: HeadRows) -> Rows:
    """Heads as rows of the topic, one reading each."""
    position = watched.state.position
    numbers, texts = [], []
    for series, (time_us, _, value) in heads.items():
        if isinstance(value, str):
            texts.append((position[series], time_us, value))
        else:
            numbers.append((position[series], time_us, value))
    places, times_us, values = zip(*numbers, strict=True) if numbers else [()] * 3
    rows = single(
        np.array(places, np.int32),
        np.array(times_us, np.int64),
        np.array(values, np.float64),
    )
    return replace(rows, texts=tuple(texts))
