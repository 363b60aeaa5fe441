"""Property tests of the history: no clock decides whether they pass."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("history", deadline=None)
settings.load_profile("history")
