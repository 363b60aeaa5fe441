"""A place for the files of deploy/."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .shipped import Place


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.remove()
