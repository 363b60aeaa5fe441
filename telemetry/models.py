"""Index of the models: each room keeps its own."""

from .devices.access_token import AccessToken
from .devices.models import (
    Credential,
    Device,
    DeviceGroup,
    DevicePresence,
    GroupAccess,
    Metric,
    Preferences,
    Series,
)
from .devices.records import DeviceEvent, DeviceHour
from .history.models import (
    Block,
    DeviceOwner,
    DeviceSession,
    Fault,
    Journal,
    Lease,
    SeriesHead,
    TextReading,
    Writer,
)

__all__ = [
    "AccessToken",
    "Block",
    "Credential",
    "Device",
    "DeviceEvent",
    "DeviceGroup",
    "DeviceHour",
    "DeviceOwner",
    "DevicePresence",
    "DeviceSession",
    "Fault",
    "GroupAccess",
    "Journal",
    "Lease",
    "Metric",
    "Preferences",
    "Series",
    "SeriesHead",
    "TextReading",
    "Writer",
]
