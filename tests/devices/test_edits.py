"""telemetry.devices.edits: from which moment on changed rows are read again."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices.edits import Mark


class TestMark:
    now = timezone.now()

    @given(st.integers(-200_000, 200_000), st.floats(0, 60))
    def test_never_passes_the_newest_nor_now_less_the_overlap(self, ahead, quiet):
        newest = self.now + timedelta(seconds=ahead)
        since = Mark(newest).since(self.now, quiet)
        assert since is not None
        assert since <= min(newest, self.now)

    def test_the_first_look_has_none(self):
        assert Mark().since(self.now, 0) is None
