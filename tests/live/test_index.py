from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.live.index import SeriesIndex

ids = st.lists(st.integers(1, 60), unique=True, max_size=20)


def array(values):
    return np.array(values, np.int32)


@given(st.lists(ids, max_size=5), ids)
def test_each_topic_gets_its_rows_at_their_positions(topics, tick):
    index = SeriesIndex([array(topic) for topic in topics])
    series = array(sorted(tick))
    found = {
        part.topic: dict(
            zip(series[part.rows].tolist(), part.positions.tolist(), strict=True)
        )
        for part in index.split(series)
    }
    expected = {
        number: {key: topic.index(key) for key in tick if key in topic}
        for number, topic in enumerate(topics)
        if set(tick) & set(topic)
    }
    assert found == expected


@given(st.lists(ids, max_size=5), st.integers(-5, 100))
def test_places_of_one_series(topics, series):
    index = SeriesIndex([array(topic) for topic in topics])
    assert index.places(series) == [
        (number, topic.index(series))
        for number, topic in enumerate(topics)
        if series in topic
    ]


def test_nothing_is_watched():
    assert not list(SeriesIndex([]).split(array([1, 2, 2_000_000_000])))
