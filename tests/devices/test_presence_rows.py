"""telemetry.devices.presence_rows: what a row says when several processes write it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from telemetry.devices.presence_rows import HEARD_SECONDS, Line, Seen, is_quiet, merged

T = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
MINE, OTHER = 7, 8


def seen(
    writer: int, *, online: bool, at: int, heard: int | None = None, code: int = 0
) -> Seen:
    return Seen(1, online, at, heard, code, f"of {writer}", None, writer)


NEVER = Seen(1, False, None, None, 0, "", None, 0)


class TestMerged:
    @pytest.mark.parametrize(
        ("stored", "mine", "is_mine"),
        [
            (NEVER, seen(MINE, online=True, at=5), True),
            # What it wrote itself, or nobody who lives: also with an earlier clock.
            (seen(MINE, online=True, at=9), seen(MINE, online=False, at=5), True),
            (seen(0, online=False, at=9), seen(MINE, online=True, at=5), True),
            # A socket that opened here later, or at all.
            (seen(OTHER, online=True, at=4), seen(MINE, online=True, at=5), True),
            (seen(OTHER, online=True, at=5), seen(MINE, online=True, at=5), True),
            (seen(OTHER, online=False, at=9), seen(MINE, online=True, at=5), True),
            # A newer socket elsewhere.
            (seen(OTHER, online=True, at=6), seen(MINE, online=True, at=5), False),
            # The end of an older socket here, however late.
            (seen(OTHER, online=True, at=4), seen(MINE, online=False, at=9), False),
            (seen(OTHER, online=False, at=4), seen(MINE, online=False, at=9), False),
        ],
    )
    def test_the_newest_socket_says_whether_it_is_online(self, stored, mine, is_mine):
        assert merged(stored, Line(mine), MINE) == (mine if is_mine else stored)

    @pytest.mark.parametrize(
        ("before", "here", "after"),
        [(None, None, None), (None, 3, 3), (4, None, 4), (4, 3, 4), (3, 4, 4)],
    )
    def test_when_it_was_heard_moves_only_forward_whoever_says_it(
        self, before, here, after
    ):
        stored = seen(OTHER, online=True, at=6, heard=before)
        for line in (
            Line(seen(MINE, online=True, at=5, heard=here)),
            Line(seen(0, online=False, at=99, heard=here), has_state=False),
        ):
            now = merged(stored, line, MINE)
            assert now == stored._replace(last_seen_us=after)


class TestQuiet:
    @pytest.mark.parametrize(
        ("change", "age_seconds", "expected"),
        [
            ({"last_seen_us": 5}, 1, True),
            ({"last_seen_us": 5}, HEARD_SECONDS, False),
            # Written by a clock ahead of this one.
            ({"last_seen_us": 5}, -1, False),
            ({"is_online": False}, 1, False),
            ({"changed_us": 9}, 1, False),
            ({"writer": OTHER}, 1, False),
            ({"close_code": 1000}, 1, False),
            ({"address": "elsewhere"}, 1, False),
        ],
    )
    def test_others_hear_at_once_of_all_but_being_heard(
        self, change, age_seconds, expected
    ):
        before = seen(MINE, online=True, at=3, heard=4)._replace(written_at=T)
        after = before._replace(**change)
        now = T + timedelta(seconds=age_seconds)
        assert is_quiet(before, after, now) is expected

    def test_a_first_sign_of_life_is_never_quiet(self):
        before = seen(MINE, online=False, at=3)._replace(written_at=T)
        assert not is_quiet(before, before._replace(last_seen_us=1), T)
        assert not is_quiet(NEVER, NEVER._replace(last_seen_us=1), T)
