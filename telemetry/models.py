"""Index of the models: each room keeps its own."""

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
from .history.models import (
    Block,
    DeviceSession,
    Fault,
    Journal,
    Lease,
    SeriesHead,
    TextReading,
    Writer,
)

__all__ = [
    "Block",
    "Credential",
    "Device",
    "DeviceGroup",
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
