"""The database's datetimes and the hub's µs, both ways, without a rounding error."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import overload

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


@overload
def us_of(moment: datetime) -> int: ...
@overload
def us_of(moment: None) -> None: ...
def us_of(moment: datetime | None) -> int | None:
    """µs since the Unix epoch; None stays None."""
    return None if moment is None else (moment - EPOCH) // _MICROSECOND


@overload
def datetime_of(time_us: int) -> datetime: ...
@overload
def datetime_of(time_us: None) -> None: ...
def datetime_of(time_us: int | None) -> datetime | None:
    """The moment in UTC; None stays None."""
    return None if time_us is None else EPOCH + timedelta(microseconds=time_us)
