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
    DeviceSession,
    Journal,
    SeriesHead,
    TextReading,
    Writer,
)

__all__ = [
    "Credential",
    "Device",
    "DeviceGroup",
    "DevicePresence",
    "DeviceSession",
    "GroupAccess",
    "Journal",
    "Metric",
    "Preferences",
    "Series",
    "SeriesHead",
    "TextReading",
    "Writer",
]
