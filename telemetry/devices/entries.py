"""What sockets know of devices: plain objects that the registry keeps current.

They belong to the event loop: only the registry changes them, and a holder sees
the change in the object it holds. Nothing here knows the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Of a device, what the forms of the admin change.
EDITED = (
    *("slug", "name", "is_enabled", "is_paused", "expected_period_seconds"),
    "groups",
)


@dataclass(slots=True)
class SeriesEntry:
    """One metric of one device. kind: `number`, `boolean` or `text`."""

    id: int
    name: str
    kind: str
    unit: str
    label: str
    decimals: int | None

    def has_only_gained(self, new: SeriesEntry | None) -> bool:
        """Whether `new` has all that this one says, and perhaps more."""
        if new is None or (self.id, self.kind) != (new.id, new.kind):
            return False
        return (
            self.unit in ("", new.unit)
            and self.label in ("", new.label)
            and self.decimals in (None, new.decimals)
        )


@dataclass(slots=True)
class DeviceEntry:
    """A living device. groups are slugs; series are by name."""

    id: int
    slug: str
    name: str
    is_enabled: bool
    is_paused: bool
    # Whether a name that it was not seen with makes a new series.
    auto_create: bool
    expected_period_seconds: float | None = None
    firmware: str = ""
    groups: frozenset[str] = frozenset()
    series: Mapping[str, SeriesEntry] = field(default_factory=dict)

    def edited_fields(self, new: DeviceEntry) -> frozenset[str]:
        """The names of what differs because people edited it.

        Firmware, new series and what was empty of a series are the device's own word.
        """
        names = {name for name in EDITED if getattr(self, name) != getattr(new, name)}
        for name, held in self.series.items():
            if not held.has_only_gained(new.series.get(name)):
                names.add("series")
        return frozenset(names)

    def become(self, other: DeviceEntry) -> None:
        """Take over what `other` says of the same device."""
        self.slug = other.slug
        self.name = other.name
        self.is_enabled = other.is_enabled
        self.is_paused = other.is_paused
        self.auto_create = other.auto_create
        self.expected_period_seconds = other.expected_period_seconds
        self.firmware = other.firmware
        self.groups = other.groups
        self.series = other.series


@dataclass(slots=True)
class GroupEntry:
    """A device group with its living devices, by slug."""

    id: int
    slug: str
    name: str
    devices: list[DeviceEntry] = field(default_factory=list)


@dataclass(slots=True)
class CredentialEntry:
    """A key as the hub knows it: times are µs, None for never."""

    id: int
    prefix: str
    sha256: bytes
    device_id: int
    expires_us: int | None
    is_revoked: bool
    # When the database was last told that it was used.
    used_us: int = 0

    def is_usable(self, now_us: int) -> bool:
        """Whether the right key of this credential opens the door now."""
        if self.is_revoked:
            return False
        return self.expires_us is None or now_us < self.expires_us


@dataclass(frozen=True, slots=True)
class SeriesWanted:
    """A series that a device would like to have. kind `""`: it did not say."""

    name: str
    kind: str = ""
    unit: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a re-reading found, of the things that this process knows.

    devices: ids whose entry differs, came or went, its series included.
    groups: slugs whose members, names or rights changed, or that are gone; with
        the groups that a changed device was in before and is in now.
    credentials: ids of devices whose keys changed or expired.
    """

    devices: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()
    credentials: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.devices or self.groups or self.credentials)
