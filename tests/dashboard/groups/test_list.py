"""The list of device groups: what it counts, in what order, and what it says first."""

from __future__ import annotations

import re

from django.test import Client

from telemetry.devices.models import Device, DeviceGroup

from ..conftest import add_device


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


class TestGroupList:
    def test_counts_what_is_connected(self, plant, people, sign_in):
        for at in range(3):
            add_device(plant, f"pump-{at}", is_online=at > 0)
        never: dict[str, object] = {"last_seen_at": None, "changed_at": None}
        add_device(plant, "pump-3", "Pump 3", is_online=False, **never)
        Device.objects.create(slug="pump-4").groups.add(plant)
        row = re.sub(r"<[^>]*>", " ", page(sign_in(people.bob), "/groups"))
        assert re.search(r"Plant A\s+5\s+2\s+1\s+2\s", row)

    def test_names_are_in_order_whatever_their_case(self, plant, people, sign_in):
        for name in ("zeta", "Alpha", "beta"):
            DeviceGroup.objects.create(slug=name.lower(), name=name)
        text = page(sign_in(people.staff), "/groups")
        places = [text.index(f">{name}<") for name in ("Alpha", "beta", "zeta")]
        assert places == sorted(places)

    def test_without_a_group_staff_learn_how_to_make_one(self, people, plant, sign_in):
        plant.delete()
        assert "manage.py createdevice" in page(sign_in(people.staff), "/groups")
        assert "createdevice" not in page(sign_in(people.charlie), "/groups")
