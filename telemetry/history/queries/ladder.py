"""How wide the buckets of a chart are, and which ranges may be asked for. Pure."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ...protocol.clock import DAY_US

MS_US = 1_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US

# Widths that people read without reckoning. From 5 minutes on each is a multiple of
# the width of a tier's rows.
LADDER_US: tuple[int, ...] = (
    *(100 * MS_US, 200 * MS_US, 500 * MS_US),
    *(seconds * SECOND_US for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * MINUTE_US for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_US for hours in (1, 2, 3, 6, 12)),
    DAY_US,
)
# The years 1970 to 9999: what a database can name.
EARLIEST_US = 0
LATEST_US = 253_402_300_799_999_999
# What a screen of the largest kind shows.
MOST_POINTS = 10_000
# Of all series of one answer: 80 bytes each.
MOST_POINTS_IN_ALL = 500_000


class BadRange(ValueError):
    """What is asked for makes no sense; the text says what was expected."""


class TooMuch(BadRange):
    """The range holds more readings than one request may make the hub read."""


def width_for(span_us: int, points: int) -> int:
    """The narrowest width (µs) that cuts a span into at most `points` buckets.

    Buckets are aligned to the epoch, so that a range may touch one more. Above a
    day: whole days.
    """
    for width_us in LADDER_US:
        if width_us * points >= span_us:
            return width_us
    return DAY_US * -(-span_us // (DAY_US * points))


def check_range(from_us: int, to_us: int) -> None:
    """Raises BadRange unless from is before to and both are in the years 1970-9999."""
    if not from_us < to_us:
        raise BadRange(
            _("expected from before to, got %(from)d and %(to)d µs")
            % {"from": from_us, "to": to_us}
        )
    for name, moment_us in (("from", from_us), ("to", to_us)):
        if not EARLIEST_US <= moment_us <= LATEST_US + 1:
            raise BadRange(
                _("%(name)s: expected a time in the years 1970 to 9999, got %(us)d µs")
                % {"name": name, "us": moment_us}
            )


def check_points(points: int, series: int) -> None:
    """Raises BadRange for points out of bounds, alone or times the series."""
    if not 1 <= points <= MOST_POINTS:
        raise BadRange(
            _("points: expected 1 to %(most)d, got %(got)d")
            % {"most": MOST_POINTS, "got": points}
        )
    if points * series > MOST_POINTS_IN_ALL:
        raise BadRange(
            _(
                "expected at most %(most)d points in all, "
                "got %(points)d for each of %(series)d series"
            )
            % {"most": MOST_POINTS_IN_ALL, "points": points, "series": series}
        )


def check_width(width_us: int, span_us: int) -> None:
    """Raises BadRange for a width that cuts the span into too many buckets."""
    if width_us < 1 or span_us > width_us * MOST_POINTS:
        raise BadRange(
            _("expected a width that makes 1 to %(most)d buckets, got %(us)d µs")
            % {"most": MOST_POINTS, "us": width_us}
        )
