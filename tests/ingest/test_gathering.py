"""telemetry.ingest.gathering: a part of it holds its batches as they came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.history.journal import Mark
from telemetry.ingest.batch import Batch
from telemetry.ingest.gathering import (
    READING_BYTES,
    RECORD_BYTES,
    TEXT_BYTES,
    Gathering,
)

from .pipelines import Sender

readings = st.tuples(st.integers(1, 9), st.integers(0, 2**50), st.floats(-1e9, 1e9))
texts = st.tuples(st.integers(1, 9), st.integers(0, 2**50), st.text(max_size=9))


@dataclass
class Sent:
    """A batch as its sender handed it over."""

    sender: Sender
    readings: list[tuple[int, int, float]]
    texts: list[tuple[int, int, str]]
    is_array: bool

    def batch(self) -> Batch:
        series, times_us, values = (
            zip(*self.readings, strict=True) if self.readings else ((), (), ())
        )
        if self.is_array:
            return Batch(
                np.array(series, np.int32),
                np.array(times_us, np.int64),
                np.array(values, np.float64),
                self.texts,
            )
        return Batch(list(series), list(times_us), list(values), self.texts)


sents = st.builds(
    Sent,
    st.builds(Sender),
    st.lists(readings, max_size=4),
    st.lists(texts, max_size=2),
    st.booleans(),
)


def gathered(parts: list[tuple[int, Sent]]) -> Gathering:
    made = Gathering()
    for at, sent in parts:
        made.add(sent.batch(), sent.sender, at, (at, "s"), Mark(at))
    return made


@given(st.data())
def test_a_part_is_what_its_batches_alone_would_be(data: st.DataObject):
    sent = list(enumerate(data.draw(st.lists(sents, min_size=1, max_size=6))))
    places = data.draw(st.lists(st.sampled_from(range(len(sent))), unique=True))
    part = gathered(sent).only(places)
    alone = gathered([sent[at] for at in places])
    assert part.columns == alone.columns
    assert part.records == alone.records
    assert part.size_bytes == alone.size_bytes


@given(sents)
def test_a_batch_costs_its_record_its_readings_and_its_texts(sent: Sent):
    made = Gathering()
    cost = made.add(sent.batch(), sent.sender, 1, None, None)
    assert cost == made.size_bytes
    assert cost == RECORD_BYTES + READING_BYTES * len(sent.readings) + sum(
        TEXT_BYTES + 4 * len(text) for _, _, text in sent.texts
    )
    assert not made.columns.marks
