"""Who asks: a person, a script by its token, or a device by its key; what it may read.

What one may not see answers as what does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..devices import tokens, zones
from ..devices.access import Seer, visible_devices
from ..devices.access_token import AccessToken, TokenKind
from ..devices.entries import DeviceEntry
from ..devices.models import Device, Preferences, Series
from ..history.tail import Tail
from ..ingest.door import Door, door_of
from ..protocol.errors import Busy, Unauthorized


@dataclass(frozen=True, slots=True)
class Asker:
    """seer (a person or a token) or device: one of them is there."""

    seer: Seer | None
    device: DeviceEntry | None

    @property
    def who(self) -> tuple[str, int]:
        """One and the same for all that it asks."""
        if self.device is not None:
            return ("device", self.device.id)
        if isinstance(self.seer, AccessToken):
            return ("token", self.seer.pk)
        return ("person", getattr(self.seer, "pk", 0))

    def devices(self) -> QuerySet[Device]:
        """The living devices that it may read."""
        if self.seer is not None:
            return visible_devices(self.seer)
        alive: QuerySet[Device] = Device.objects.alive()
        return alive.filter(pk=self.device.id) if self.device else alive.none()

    def series(self) -> QuerySet[Series]:
        """The living series that it may read."""
        alive: QuerySet[Series] = Series.objects.alive()
        return alive.filter(device__in=self.devices().values("pk"))

    def zone(self) -> ZoneInfo:
        """The time zone of the person or the device; UTC where nothing says.

        A token's is its user's.
        """
        if self.device is not None:
            device = Device.objects.filter(pk=self.device.id).first()
            return zones.chosen(device.time_zone if device else None)
        seer = self.seer
        person = seer.user if isinstance(seer, AccessToken) else seer
        # A user who has none lacks the attribute.
        preferences: Preferences | None = getattr(person, "preferences", None)
        return zones.chosen(preferences.time_zone if preferences else None)


async def asker_of(request: HttpRequest) -> Asker:
    """Who sent this. Raises Unauthorized, Forbidden, RateLimited and Busy."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    # A proxy's own password is no key.
    if scheme.lower() == "bearer":
        if tokens.looks_like_one(secret.strip()):
            return Asker(await _token_of(secret.strip()), None)
        return Asker(None, await device_of(request))
    person = await request.auser()
    if not person.is_authenticated:
        raise Unauthorized(
            "expected a session, or the header “Authorization: Bearer” with a device's "
            "key or an access token; got neither"
        )
    return Asker(person, None)


@sensitive_variables("secret")
async def _token_of(secret: str) -> AccessToken:
    claim = tokens.claim_of(secret, TokenKind.SCRIPT)
    token = await sync_to_async(tokens.find_one)(claim)
    if token is None:
        raise Unauthorized(
            "expected an access token of a script that holds, got one that this hub "
            "does not know, or that has ended"
        )
    return token


async def device_of(request: HttpRequest) -> DeviceEntry:
    """The device whose key a request has."""
    return await device_of_key(
        hub_door(request),
        request.headers.get("Authorization", ""),
        request.META.get("REMOTE_ADDR", ""),
    )


async def device_of_key(door: Door, header: str, address: str) -> DeviceEntry:
    """The device of a header `Bearer KEY`; wrong ones of an address are counted."""
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("expected the header “Authorization: Bearer KEY”")
    return await door.authenticate(key.strip(), address)


def hub_door(request: HttpRequest) -> Door:
    """The door of this process. Raises Busy where no hub runs."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    if "telemetry.hub" not in scope:
        raise Busy("expected a running hub in this process, got none")
    return door_of(scope)


def tail_of(request: HttpRequest) -> Tail | None:
    """The unsealed readings of this process; None where no hub runs."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    hub = scope.get("telemetry.hub")
    tail: Tail | None = hub.tail if hub is not None else None
    return tail
