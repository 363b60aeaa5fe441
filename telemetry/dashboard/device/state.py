"""What a device is now and why, as its page says it before a script does.

The rule is devices.status; what is collected here are its facts, of the running hub
where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.http import HttpRequest
from django.utils import timezone

from ...devices.models import Device
from ...devices.presence import UNSEEN, PresenceEntry
from ...devices.status import Facts, judge, sentence
from ...devices.times import us_of
from ...history.heads import Head
from ...history.intervals import device_periods_us
from ...history.models import SeriesHead
from ...history.tick import Int64s
from ..running_hub import hub_of, on_loop
from .values import DeviceValues


@dataclass(frozen=True, slots=True)
class Shown:
    """A device's state. mark: of its icon; word: the state; rest: the evidence."""

    mark: str
    word: str
    rest: str


def shown_state(
    request: HttpRequest, device: Device, values: DeviceValues, now: datetime
) -> Shown:
    """The state of a device, whose last values these are.

    One query at most; `device` comes with its presence.
    """
    facts = _facts(request, device, values)
    status = judge(facts, us_of(now))
    text = sentence(status, facts, us_of(now), timezone.get_current_timezone())
    word = str(status.state.label)
    rest = text.removeprefix(word) if text.startswith(word) else f". {text}"
    return Shown(str(status.state.value), word, rest)


def _facts(request: HttpRequest, device: Device, values: DeviceValues) -> Facts:
    seen = _presence(request, device)
    expected = device.expected_period_seconds
    return Facts(
        is_enabled=device.is_enabled,
        is_paused=device.is_paused,
        is_online=seen.is_online,
        changed_us=seen.changed_us,
        last_seen_us=seen.last_seen_us,
        last_reading_us=us_of(values.last_at),
        period_us=(
            _estimated_us(request, values.heads)
            if expected is None
            else round(expected * 1e6)
        ),
        is_estimated=expected is None,
    )


def _presence(request: HttpRequest, device: Device) -> PresenceEntry:
    hub = hub_of(request)
    if hub is not None:
        presence = hub.presence
        return on_loop(lambda: presence.get(device.pk))
    row = getattr(device, "presence", None)
    if row is None:
        return UNSEEN
    return PresenceEntry(row.is_online, us_of(row.changed_at), us_of(row.last_seen_at))


def _estimated_us(request: HttpRequest, heads: dict[int, Head]) -> int | None:
    """How often it seems to send, None: nobody knows."""
    if not heads:
        return None
    ids = np.array(list(heads), np.int64)
    lasts_us = [min(head.time_us, head.received_us) for head in heads.values()]
    period_us = device_periods_us(
        _periods_us(request, ids),
        np.array(lasts_us, np.int64),
        np.zeros(len(ids), np.int32),
        1,
    )[0]
    return int(period_us) or None


def _periods_us(request: HttpRequest, ids: Int64s) -> Int64s:
    """Of each series, 0: not known."""
    hub = hub_of(request)
    if hub is not None:
        heads = hub.heads
        return on_loop(lambda: heads.periods_us(ids))
    rows = SeriesHead.objects.filter(series_id__in=ids.tolist())
    known = dict(rows.values_list("series_id", "period_us"))
    return np.array([known.get(series) or 0 for series in ids.tolist()], np.int64)
