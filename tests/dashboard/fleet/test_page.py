"""The fleet page: what it says without a script, to whom, and what its script loads."""

from __future__ import annotations

import gzip
import json
import re
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from telemetry.devices.models import (
    Device,
    DeviceGroup,
    DevicePresence,
    GroupAccess,
    Series,
)
from telemetry.devices.times import datetime_of
from telemetry.history.models import SeriesHead

from ..conftest import add_device

PAGES = ("/", "/fleet.json", "/fleet/traces.json?series=1")


def text_of(client: Client, path: str = "/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def words_of(client: Client, path: str = "/") -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text_of(client, path)))


def data_of(client: Client, path: str = "/fleet.json") -> dict[str, Any]:
    answer = client.get(path)
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.content)
    return found


def rows_of(client: Client, path: str = "/") -> list[str]:
    return re.findall(r'href="/d/([^"]+)"', text_of(client, path))


def hear(device: Device, age_seconds: float, **values: float) -> None:
    """The device's last readings were so long ago; values by name."""
    at_us = int((time.time() - age_seconds) * 1e6)
    DevicePresence.objects.filter(device=device).update(changed_at=datetime_of(at_us))
    times = {"time_us": at_us, "effective_us": at_us, "received_us": at_us}
    for series in Series.objects.filter(device=device):
        heads = SeriesHead.objects.filter(series_id=series.pk)
        heads.update(**times)
        if series.name in values:
            heads.update(value=values[series.name])


def add_many(group: DeviceGroup, count: int, prefix: str = "many") -> None:
    """Devices with temperature and humidity, made at once."""
    now = timezone.now()
    at_us = int(now.timestamp() * 1e6)
    devices = Device.objects.bulk_create(
        Device(slug=f"{prefix}-{at:05}", name=f"Many {at}") for at in range(count)
    )
    Device.groups.through.objects.bulk_create(
        Device.groups.through(device=device, devicegroup=group) for device in devices
    )
    DevicePresence.objects.bulk_create(
        DevicePresence(device=device, is_online=True, changed_at=now, last_seen_at=now)
        for device in devices
    )
    series = Series.objects.bulk_create(
        Series(device=device, name=name)
        for device in devices
        for name in ("temp", "hum")
    )
    SeriesHead.objects.bulk_create(
        SeriesHead(
            series_id=each.pk,
            time_us=at_us,
            effective_us=at_us,
            received_us=at_us,
            value=20 + at % 100 / 10,
        )
        for at, each in enumerate(series)
    )


class TestRights:
    @pytest.mark.parametrize("path", PAGES)
    def test_a_stranger_is_sent_to_sign_in(self, path, plant, client):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login?next=")

    def test_one_sees_ones_own_devices_and_groups_alone(self, plant, people, sign_in):
        add_device(plant, "pump")
        hidden = DeviceGroup.objects.create(slug="vault", name="Vault nine")
        hidden.devices.add(add_device(plant, "shared"))
        add_device(hidden, "secret", "Secret one")
        add_device(hidden, "gone").delete()
        bob = sign_in(people.bob)
        assert sorted(rows_of(bob)) == ["pump", "shared"]
        for text in (text_of(bob), text_of(bob, "/fleet.json")):
            assert "vault" not in text.lower()
            assert "secret" not in text.lower()
        assert data_of(bob)["slug"] == ["pump", "shared"]
        assert len(data_of(sign_in(people.staff))["slug"]) == 3

    def test_lines_of_what_one_may_not_see_are_left_out(self, plant, people, sign_in):
        hidden = DeviceGroup.objects.create(slug="vault", name="Vault nine")
        own, other = add_device(plant, "pump"), add_device(hidden, "secret")
        ids = {d: Series.objects.get(device=d, name="temp").pk for d in (own, other)}
        path = f"/fleet/traces.json?series={ids[own]},{ids[other]},999999"
        assert set(data_of(sign_in(people.bob), path)["series"]) <= {str(ids[own])}


class TestPage:
    def test_says_what_is_wrong_first(self, plant, people, sign_in):
        for slug, age in (("fine", 1), ("silent", 3_600), ("slow", 90)):
            hear(add_device(plant, slug, is_online=slug != "silent"), age)
        bob = sign_in(people.bob)
        assert rows_of(bob) == ["silent", "slow", "fine"]
        text = words_of(bob)
        for expected in (
            "All 3",
            "Live 1",
            "Late 1",
            "Offline 1",
            "New 0",
            "Paused 0",
            "60 min ago",
            "Plant A",
            "21.5",
        ):
            assert expected in text

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("status=late", ["slow"]),
            ("q=SILE", ["silent"]),
            ("group=yard", ["slow"]),
            ("sort=-name", ["slow", "silent", "fine"]),
            ("sort=m1&m=temp", ["slow", "fine", "silent"]),
            ("q=zz", []),
            ("q=%00", []),
            ("sort=banana&group=nope&status=x&view=3d&m=nope", None),
        ],
    )
    def test_the_address_says_what_is_shown(
        self, plant, people, sign_in, query, expected
    ):
        for slug, age, temp in (("fine", 1, 2), ("silent", 3_600, 3), ("slow", 90, 1)):
            device = add_device(plant, slug, is_online=slug != "silent")
            hear(device, age, temp=temp)
        yard = DeviceGroup.objects.create(slug="yard", name="Yard")
        yard.devices.add(Device.objects.get(slug="slow"))
        GroupAccess.objects.create(group=yard, user=people.bob)
        found = rows_of(sign_in(people.bob), f"/?{query}")
        assert found == (["silent", "slow", "fine"] if expected is None else expected)

    def test_two_metrics_are_chosen_by_the_address(self, plant, people, sign_in):
        add_device(plant, "pump")
        bob = sign_in(people.bob)
        # Without a choice: numbers first, then what there is.
        assert [c[0] for c in data_of(bob)["columns"]] == ["temp", "door"]
        assert [c[0] for c in data_of(bob, "/fleet.json?m=mode")["columns"]] == [
            "mode",
            "temp",
        ]
        assert "hot water" in words_of(bob, "/?m=mode,door")

    def test_names_are_text(self, plant, people, sign_in):
        hostile = "</script><script>alert(1)</script>\u202etxt"
        add_device(plant, "pump", hostile)
        Series.objects.update(label="<b>hot</b>", unit="</th>")
        text = text_of(sign_in(people.bob), f"/?q={hostile[:20]}")
        assert "<script>alert" not in text
        assert "<b>hot" not in text

    def test_the_first_hundred_come_without_a_script(self, plant, people, sign_in):
        add_many(plant, 103)
        bob = sign_in(people.bob)
        assert len(rows_of(bob)) == 100
        assert "103 devices" in words_of(bob)
        assert "first 100" in words_of(bob)

    def test_without_a_device_one_learns_how_to_make_one(
        self, plant, people, sign_in, client
    ):
        assert "manage.py createdevice" in text_of(sign_in(people.staff))
        text = text_of(sign_in(people.charlie))
        assert "createdevice" not in text
        assert "none that you may see" in text

    def test_a_device_without_readings_or_group_is_new(self, plant, people, sign_in):
        Device.objects.create(slug="lone", name="Lone")
        text = words_of(sign_in(people.staff))
        assert re.search(r"New\s+Lone\s+never", text)


class TestSize:
    @pytest.mark.parametrize("path", ["/", "/fleet.json"])
    def test_the_number_of_queries_is_the_same_for_10_and_1000(
        self, plant, people, sign_in, django_assert_num_queries, path
    ):
        bob, counts = sign_in(people.bob), []
        for count in (10, 990):
            add_many(plant, count, f"of-{count}")
            with django_assert_num_queries(16, exact=False) as queries:
                bob.get(path)
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_a_thousand_devices_are_small_on_the_wire(self, plant, people, sign_in):
        add_many(plant, 1_000)
        bob = sign_in(people.bob)
        size = 0
        for path in ("/", "/fleet.json"):
            answer = bob.get(path, headers={"accept-encoding": "gzip"})
            assert answer["Content-Encoding"] == "gzip"
            assert gzip.decompress(answer.content)
            size += len(answer.content)
        assert size <= 120_000


class TestData:
    def test_a_column_a_fact(self, plant, people, sign_in):
        device = add_device(plant, "pump", "Pump 1")
        Device.objects.filter(pk=device.pk).update(
            serial="SN-1", tags="hot", expected_period_seconds=2.5
        )
        hear(device, 10)
        add_device(plant, "same", "same")
        found = data_of(sign_in(people.bob))
        assert found["slug"] == ["pump", "same"]
        assert found["name"] == ["Pump 1", 0]
        assert (found["serial"], found["tags"]) == ({"0": "SN-1"}, {"0": "hot"})
        assert found["groups"] == [["plant", "Plant A"]]
        assert found["in"] == [[0], [0]]
        assert found["flags"] == [2, 2]
        assert found["period"] == [2500, None]
        assert 9_000 < found["last"][0] < 60_000
        temp, door = found["cells"]
        assert temp["value"] == [21.5, 21.5]
        assert door["value"] == [True, True]
        assert temp["id"][0] == Series.objects.get(device=device, name="temp").pk

    def test_an_estimated_period_is_said_to_be_one(self, plant, people, sign_in):
        device = add_device(plant, "pump")
        for name, period_us in (("temp", 2_000_000), ("door", 500_000)):
            series = Series.objects.get(device=device, name=name)
            SeriesHead.objects.filter(series_id=series.pk).update(period_us=period_us)
        found = data_of(sign_in(people.bob))
        assert (found["period"], found["flags"]) == ([500], [6])

    def test_a_unit_of_its_own_is_said(self, plant, people, sign_in):
        for slug in ("a", "b", "c"):
            add_device(plant, slug)
        Series.objects.filter(device__slug="b", name="temp").update(unit="K")
        temp = data_of(sign_in(people.bob))["cells"][0]
        assert temp["unit"] == {"1": "K"}

    def test_what_is_followed_tells_of_every_device(self, plant, people, sign_in):
        add_many(plant, 3)
        lone = add_device(plant, "lone")
        Series.objects.filter(device=lone).exclude(name="mode").delete()
        followed = data_of(sign_in(people.bob), "/fleet.json?m=temp,hum")["followed"]
        assert followed == ["temp", "hum", "mode"]

    def test_what_is_much_faster_than_the_columns_is_followed(
        self, plant, people, sign_in
    ):
        device = add_device(plant, "pump")
        for name, period_us in (("temp", 60_000_000), ("mode", 1_000_000)):
            series = Series.objects.get(device=device, name=name)
            SeriesHead.objects.filter(series_id=series.pk).update(period_us=period_us)
        followed = data_of(sign_in(people.bob), "/fleet.json?m=temp,door")["followed"]
        assert followed == ["temp", "door", "mode"]

    def test_what_has_stopped_while_others_go_on_is_not_followed(
        self, plant, people, sign_in
    ):
        device = add_device(plant, "pump")
        hear(device, 1)
        Series.objects.filter(device=device).exclude(name__in=("temp", "mode")).delete()
        for name, period_us, age in (("temp", 1_000_000, 600), ("mode", 60_000_000, 1)):
            series = Series.objects.get(device=device, name=name)
            at_us = int((time.time() - age) * 1e6)
            SeriesHead.objects.filter(series_id=series.pk).update(
                period_us=period_us, effective_us=at_us
            )
        add_many(plant, 2)
        followed = data_of(sign_in(people.bob), "/fleet.json?m=temp,hum")["followed"]
        assert followed == ["temp", "hum", "mode"]

    @pytest.mark.parametrize(("count", "unfollowed"), [(30, 0), (31, 1)])
    def test_beyond_the_most_metrics_a_device_is_said_not_to_be_followed(
        self, plant, people, sign_in, count, unfollowed
    ):
        add_many(plant, 2)
        for at in range(count):
            device = add_device(plant, f"lone-{at:02}")
            series = Series.objects.filter(device=device)
            series.exclude(name="mode").delete()
            series.update(name=f"own-{at:02}")
        found = data_of(sign_in(people.bob), "/fleet.json?m=temp,hum")
        assert len(found["followed"]) == 32
        flags = dict(zip(found["slug"], found["flags"], strict=True))
        beyond = [slug for slug, each in flags.items() if each & 8]
        assert beyond == ["lone-30"][:unfollowed]

    def test_who_has_not_sent_is_not_followed(self, plant, people, sign_in):
        plant.devices.add(Device.objects.create(slug="fresh", name="Fresh"))
        found = data_of(sign_in(people.bob))
        assert (found["followed"], found["flags"]) == ([], [8])

    def test_an_empty_fleet_is_no_error(self, plant, people, sign_in):
        found = data_of(sign_in(people.charlie))
        assert found["slug"] == found["columns"] == found["cells"] == []
