"""The pages that whole-site tests go through: a new page enters by one line here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Hub

# A name for the test, and the address on a hub that `furnish` has furnished.
PAGES = {
    "fleet": "/",
    "fleet as tiles": "/?view=tiles",
    "fleet, filtered": "/?q=nothing",
    "groups": "/groups",
    "group": "/g/plant",
    "group by device": "/g/plant?by=device",
    "group of old": "/g/plant?from=now-6h&to=now-5m",
    "group without devices": "/g/empty",
    "device": "/d/boiler",
    "device, history": "/d/boiler?tab=history",
    "device, events": "/d/boiler?tab=events",
    "device, connection": "/d/boiler?tab=link",
    "device without readings": "/d/fan",
    "kiosk link": "/g/plant/kiosk",
    "link check": "/link",
    "search": "/search?q=l",
    "search without hits": "/search?q=nothing",
    "not there": "/d/nope",
}
# Without signing in.
OUTSIDE = {"sign in": "/login", "not there": "/nope"}


LONG_NAME = "Mixer, old, with a name of some length, as people write"


def furnish(hub: Hub) -> None:
    """Devices with readings of every kind and with none, and an empty group."""
    hub.add_devices("plant", "boiler", "pump", "fan")
    (wordy,) = hub.add_devices("plant", LONG_NAME)
    hub.send(wordy, {"values": {"temp": 21.5, "mode": "x" * 200}})
    hub.process.manage(
        *("shell", "--no-imports", "-c"),
        "from telemetry.devices.models import *;"
        "DeviceGroup.objects.create(slug='empty', name='Empty hall')",
    )
    now = int(time.time() * 1000)
    for slug in ("boiler", "pump"):
        hub.send(
            slug,
            *(
                {
                    "time": now - at * 1_000,
                    "values": {"temp": 20 + at % 5, "open": True},
                }
                for at in range(60)
            ),
            {"values": {"temp": 21.5, "mode": "hot water", "open": False}},
        )
