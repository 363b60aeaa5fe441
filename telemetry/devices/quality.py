"""How well a device's link did in the last 24 hours: one answer for its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min

from . import latency
from .models import Device
from .records import DeviceHour
from .tallies import HOUR_US, Tally, hour_of, read_hours
from .times import us_of

HOURS = 24


@dataclass(frozen=True, slots=True)
class Quality:
    """The 23 hours before this one, and what has passed of this one.

    p50_ms, p95_ms: of the round trips of the hub's pings, None without any. skew_ms:
    the device's clock less the hub's, None if it is unknown. availability, received:
    each hour's share of time with an open socket, and its readings, oldest first;
    a share is None where the device, or its record, had not begun yet.
    """

    p50_ms: float | None
    p95_ms: float | None
    round_trips: int
    skew_ms: float | None
    readings: int
    lost: int
    sent_again: int
    rejected: int
    connects: int
    # Connects but for the very first.
    reconnects: int
    availability: tuple[float | None, ...]
    received: tuple[int, ...]


def first_hour(now: datetime) -> int:
    """The oldest of the hours that `last_day` speaks of."""
    return hour_of(us_of(now)) - HOURS + 1


def last_day(
    device_id: int, now: datetime, hours: Mapping[int, Tally] | None = None
) -> Quality:
    """The quality of a device's link. Four queries.

    hours: what `Tallies.hours` of this process knows; else what is written, which
    may be a minute old. Raises Device.DoesNotExist.
    """
    first = first_hour(now)
    if hours is None:
        hours = read_hours(device_id, first)
    created_at, skew_ms = Device.objects.values_list(
        "created_at", "presence__skew_ms"
    ).get(pk=device_id)
    day = Tally()
    for tally in hours.values():
        day.add(tally)
    begun_us = max(us_of(created_at), _recorded_from(hours, us_of(now)))
    has_past = _was_connected_before(device_id, first)
    return Quality(
        p50_ms=latency.percentile_ms(day.latency, 50),
        p95_ms=latency.percentile_ms(day.latency, 95),
        round_trips=sum(day.latency.values()),
        skew_ms=skew_ms,
        readings=day.readings,
        lost=day.lost,
        sent_again=day.sent_again,
        rejected=day.rejected,
        connects=day.connects,
        reconnects=day.connects if has_past else max(0, day.connects - 1),
        availability=tuple(
            _share(hours.get(hour), hour, begun_us, us_of(now))
            for hour in range(first, first + HOURS)
        ),
        received=tuple(
            hours[hour].readings if hour in hours else 0
            for hour in range(first, first + HOURS)
        ),
    )


def _share(tally: Tally | None, hour: int, begun_us: int, now_us: int) -> float | None:
    """The share of an hour with an open socket; None where there was nothing yet."""
    start_us = max(hour * HOUR_US, begun_us)
    end_us = min((hour + 1) * HOUR_US, now_us)
    if end_us <= start_us:
        return None
    online_seconds = tally.online_seconds if tally else 0.0
    return min(1.0, online_seconds / ((end_us - start_us) / 1e6))


def _was_connected_before(device_id: int, hour: int) -> bool:
    earlier = DeviceHour.objects.filter(device_id=device_id, hour__lt=hour)
    return earlier.filter(connects__gt=0).exists()


def _recorded_from(hours: Mapping[int, Tally], now_us: int) -> int:
    """Since when the hub writes this down, of any device."""
    written = DeviceHour.objects.aggregate(first=Min("hour"))["first"]
    known = [*hours, *([] if written is None else [written])]
    return min(known) * HOUR_US if known else now_us
