"""Edges of the calendar: days, weeks (from Monday) and months of a time zone. Pure.

They differ in length: a day of a zone has 23 or 25 hours when its clocks change.
`buckets.read_edges` reads what is between them; the first and the last bucket end
where the range does.
Where a tier was read, an edge that is no multiple of 5 minutes (a few old zones) is
as exact as the tier's rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import numpy as np
from django.utils.translation import gettext as _

from ...protocol.clock import DAY_US
from ..journal import from_us, to_us
from ..tick import Int64s
from .ladder import MOST_POINTS, BadRange, check_range

DAY, WEEK, MONTH = "day", "week", "month"
UNITS = (DAY, WEEK, MONTH)
# A month is looked ahead; there are no dates after the year 9999.
_MARGIN_US = 40 * DAY_US


def calendar_edges(from_us_: int, to_us_: int, unit: str, zone: tzinfo) -> Int64s:
    """Where days, weeks or months begin in the range, and the range's own ends.

    Raises BadRange.
    """
    check_range(from_us_, to_us_)
    if unit not in UNITS:
        raise BadRange(
            _("expected day, week or month, got “%(unit)s”") % {"unit": unit[:32]}
        )
    if to_us_ > _LATEST_US:
        raise BadRange(_("expected a range that ends before December 9999"))
    start = from_us(from_us_).astimezone(zone).replace(tzinfo=None)
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    edges_us = [from_us_]
    while edges_us[-1] < to_us_:
        day = _next(day, unit)
        edge_us = to_us(day.replace(tzinfo=zone))
        # Where a zone has skipped a whole day two edges are one.
        if edge_us > edges_us[-1]:
            edges_us.append(min(edge_us, to_us_))
        if len(edges_us) > MOST_POINTS + 1:
            raise BadRange(
                _("expected a range of at most %(most)d buckets, got more")
                % {"most": MOST_POINTS}
            )
    return np.array(edges_us, np.int64)


_LATEST_US = to_us(datetime.fromisoformat("9999-12-31T00:00:00+00:00")) - _MARGIN_US


def _next(day: datetime, unit: str) -> datetime:
    """The next local midnight at which a unit begins. day: a local midnight."""
    if unit == DAY:
        return day + timedelta(days=1)
    if unit == WEEK:
        return day + timedelta(days=7 - day.weekday())
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
