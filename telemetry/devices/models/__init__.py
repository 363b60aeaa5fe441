"""What people edit (devices, groups, rights) and what the hub writes about devices.

Configuration carries `changed_at`, so that each process re-reads what changed;
deleting a device or a series is a tombstone (`deleted_at`). Hot state lives in
tables of its own, which no admin form ever saves.
"""

from .changed import Changed
from .devices import (
    Credential,
    Device,
    DeviceGroup,
    DevicePresence,
    validate_time_zone,
)
from .people import GroupAccess, Preferences, Role, Theme
from .series import Kind, Metric, Series

__all__ = [
    "Changed",
    "Credential",
    "Device",
    "DeviceGroup",
    "DevicePresence",
    "GroupAccess",
    "Kind",
    "Metric",
    "Preferences",
    "Role",
    "Series",
    "Theme",
    "validate_time_zone",
]
