"""The admin's storage page: full, empty and with faults, for who may see it."""

from __future__ import annotations

import numpy as np
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import F
from django.test import Client

from telemetry.devices.models import Device, DeviceGroup, Series
from telemetry.history import blocks, faults
from telemetry.history.admin import fault_list
from telemetry.history.admin.forecast import Flow
from telemetry.history.admin.storage_page import outlook
from telemetry.history.journal import open_writer
from telemetry.history.models import Block, Fault, SeriesHead
from telemetry.protocol import clock
from telemetry.protocol.clock import DAY_US

from ..rows import write

pytestmark = pytest.mark.django_db

URL = "/admin/storage/"


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def clerk() -> Client:
    """Staff without any permission."""
    client = Client()
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    return client


def add_device(
    name: str, *groups: DeviceGroup, days: int = 3, readings: int = 1_000
) -> Series:
    """A device with a series that has made a block of so many readings a day."""
    device = Device.objects.create(slug=name, name=name.title())
    device.groups.set(groups)
    series: Series = Series.objects.create(device=device, name="temp", kind="number")
    now_us = clock.now_us()
    for day in range(days):
        numbers = np.arange(readings)
        times_us = now_us - (day + 1) * DAY_US + numbers * (80_000_000_000 // readings)
        blocks.insert([blocks.build(series.id, times_us, np.sin(numbers))])
    return series


def page(client: Client, url: str = URL) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


class TestPage:
    def test_an_empty_hub(self, root: Client):
        html = page(root)
        assert "Nothing is sealed yet" in html
        assert "not growing" not in html
        assert "<dd>–" in html
        assert "a day</dd>" not in html
        assert "None: every block that was read could be read." in html

    def test_groups_and_devices_with_what_they_take(self, root: Client):
        floor = DeviceGroup.objects.create(slug="floor", name="Floor", raw_days=90)
        add_device("boiler", floor)
        add_device("pump")
        response = root.get(URL)
        groups, devices = response.context["groups"], response.context["hungriest"]
        assert [(line.name, line.devices) for line in groups] == [
            ("Floor", 1),
            ("in no group", 1),
        ]
        assert groups[0].use.readings_a_day == pytest.approx(1_000, rel=0.1)
        assert groups[0].days.raw == 90
        assert {(line.name, line.group) for line in devices} == {
            ("Boiler", "Floor"),
            ("Pump", ""),
        }
        html = response.content.decode()
        assert "the last 7 days" in html
        assert "Boiler</a>" in html

    def test_ten_devices_that_take_most(self, root: Client):
        for number in range(11):
            add_device(f"device-{number}", readings=500 if number == 5 else 1_000)
        names = [line.name for line in root.get(URL).context["hungriest"]]
        assert len(names) == 10
        assert "Device-5" not in names

    def test_a_deleted_device_is_named_as_such(self, root: Client):
        series = add_device("boiler")
        series.device.delete()
        assert "a device that is deleted" in page(root)
        Series.objects.filter(id=series.id).update(id=series.id + 1_000)
        assert "a device that is deleted" in page(root)

    def test_as_many_queries_for_many_devices(
        self, root: Client, django_assert_max_num_queries
    ):
        groups = [
            DeviceGroup.objects.create(slug=f"g{number}", name=f"G{number}")
            for number in range(5)
        ]
        with django_assert_max_num_queries(60) as few:
            add_device("boiler", days=1)
            page(root)
        before = len(few)
        for number in range(40):
            series = add_device(f"device-{number}", *groups[: number % 6], days=1)
            faults.note(series.id, 0, number, number, "expected 1, got 2")
        with django_assert_max_num_queries(30) as many:
            page(root)
        assert len(many) <= before

    def test_the_preview_is_worked_out_when_asked_for(self, root: Client):
        add_device("boiler")
        assert "plan" not in root.get(URL).context
        response = root.get(URL, {"preview": "1"})
        assert response.context["plan"].total.readings == 3_000
        assert "Retention would free nothing now" in response.content.decode()

    def test_a_hub_that_is_idle_is_not_growing(self, root: Client):
        add_device("boiler")
        Block.objects.update(
            start_us=F("start_us") - 30 * DAY_US, end_us=F("end_us") - 30 * DAY_US
        )
        html = page(root)
        assert "not growing" in html
        assert "Nothing came in within the last week" in html

    def test_the_preview_names_what_is_not_sealed(self, root: Client):
        assert "not sealed yet and not" not in page(root, URL + "?preview=1")
        series = add_device("boiler")
        write(
            open_writer(clock.now_us()).pk, 1, *((series.id, at, 1.0) for at in (1, 2))
        )
        assert "2 readings are not sealed yet and not counted" in page(
            root, URL + "?preview=1"
        )

    def test_the_preview_says_what_the_budget_can_take(self, root: Client, settings):
        settings.TELEMETRY_DISK_BUDGET_BYTES = 1_000
        assert "nothing is older than a day" in page(root, URL + "?preview=1")
        series = add_device("boiler")
        now_us = clock.now_us()
        SeriesHead.objects.create(
            series_id=series.id,
            time_us=now_us,
            effective_us=now_us,
            received_us=now_us,
        )
        html = page(root, URL + "?preview=1")
        assert "What is older than a day, and may go, takes about" in html

    def test_it_is_in_the_side_list(self, root: Client):
        html = root.get("/admin/telemetry/device/").content.decode()
        assert html.count('href="/admin/storage/"') == 1
        assert root.get("/admin/").content.decode().count("/admin/storage/") == 1

    def test_the_preview_says_what_would_go(self, root: Client):
        DeviceGroup.objects.create(slug="floor", name="Floor", raw_days=1, tier_days=2)
        add_device("boiler", DeviceGroup.objects.get(), days=6)
        html = page(root, URL + "?preview=1")
        assert "Retention would free" in html
        assert "What would go now" in html


class TestWhoMaySee:
    def test_not_who_is_no_staff(self):
        client = Client()
        client.force_login(User.objects.create_user("visitor"))
        assert client.get(URL).status_code == 302
        assert Client().get(URL).status_code == 302

    def test_staff_without_rights_sees_no_link_that_is_refused(self, clerk: Client):
        series = add_device("boiler", DeviceGroup.objects.create(slug="g", name="G"))
        faults.note(series.id, 0, 1, 2, "expected 1, got 2")
        html = page(clerk)
        assert "Boiler" in html
        assert "/admin/telemetry/" not in html.split('id="content-main"')[1]
        assert "Dismiss" not in html.split('id="content-main"')[1]


class TestFaults:
    def test_device_metric_times_and_reason(self, root: Client):
        series = add_device("boiler")
        faults.note(series.id, 300, 1_795_000_000_000_000, 1_795_000_300_000_000, "bad")
        html = page(root)
        assert "1 fault in the history." in html
        assert "Boiler · temp" in html
        assert "5-minute summaries, 2026-11-18" in html

    @pytest.mark.parametrize(
        ("series", "start_us", "where"),
        [
            (0, 7, "the journal"),
            (999, 1_795_000_000_000_000, "a series that is gone (999)"),
            (999, 2**62, "a series that is gone (999)"),
            (999, -(2**62), "a series that is gone (999)"),
        ],
    )
    def test_of_what_is_no_series(
        self, root: Client, series: int, start_us: int, where: str
    ):
        faults.note(series, 0, start_us, start_us, "expected a block")
        html = page(root)
        assert where in html
        assert "expected a block" in html

    def test_the_newest_are_listed_and_all_counted(self, root: Client):
        for number in range(fault_list.MOST_LISTED + 1):
            faults.note(number, 0, 1, 2, f"reason {number}")
        html = page(root)
        assert f"The newest {fault_list.MOST_LISTED} of" in html
        assert "reason 100" in html
        assert "reason 0<" not in html

    def test_the_index_says_so(self, root: Client):
        assert "faults" not in page(root, "/admin/")
        assert URL in page(root, "/admin/")
        faults.note(1, 0, 1, 2, "expected 1, got 2")
        assert "1 fault in the history." in page(root, "/admin/")

    def test_a_reason_is_no_markup(self, root: Client):
        faults.note(1, 0, 1, 2, "<script>alert(1)</script>")
        assert "<script>alert" not in page(root)


class TestDismissing:
    def test_takes_the_fault_away_and_is_logged(self, root: Client):
        series = add_device("boiler")
        faults.note(series.id, 0, 1, 2, "expected 1, got 2")
        fault = Fault.objects.get()
        response = root.post(f"{URL}faults/{fault.pk}/dismiss/", follow=True)
        assert "Dismissed the fault of Boiler · temp." in response.content.decode()
        # It stays for readers, which find damaged blocks by it, and is not told again.
        faults.note(series.id, 0, 1, 2, "expected 1, got 2")
        assert not fault_list.open_faults().exists()
        entry = LogEntry.objects.get()
        assert entry.object_repr == "Boiler · temp: expected 1, got 2"
        assert entry.is_change()
        assert "Boiler · temp" in page(root, "/admin/")

    def test_twice_is_told(self, root: Client):
        response = root.post(f"{URL}faults/7/dismiss/", follow=True)
        assert "dismissed before" in response.content.decode()
        assert not LogEntry.objects.exists()

    def test_only_with_the_permission(self, clerk: Client):
        faults.note(1, 0, 1, 2, "expected 1, got 2")
        url = f"{URL}faults/{Fault.objects.get().pk}/dismiss/"
        assert clerk.post(url).status_code == 403
        assert Fault.objects.exists()
        User.objects.get(username="clerk").user_permissions.add(
            Permission.objects.get(codename="change_fault")
        )
        assert clerk.post(url).status_code == 302
        assert not fault_list.open_faults().exists()

    def test_not_by_a_link_nor_without_a_token(self, root: Client):
        faults.note(1, 0, 1, 2, "expected 1, got 2")
        url = f"{URL}faults/{Fault.objects.get().pk}/dismiss/"
        assert root.get(url).status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.get(username="root"))
        assert strict.post(url).status_code == 403
        assert Fault.objects.exists()


@pytest.mark.parametrize(
    ("flows", "room_bytes", "budget_left", "words"),
    [
        ([], 100, None, "not growing"),
        ([Flow(0, 30)], 100, None, "not growing"),
        ([Flow(10, 30)], 100, None, "10 days"),
        ([Flow(10, 30)], 10, None, "1 day"),
        ([Flow(10, 30)], 9, None, "less than a day"),
        ([Flow(10, 30)], 0, None, "it is full"),
        ([Flow(1, 1e9)], 36_600, None, "more than 10 years"),
        ([Flow(10, 30)], 301, None, "never: in time"),
        ([Flow(10, 30)], None, None, "unknown"),
        ([Flow(10, 30)], 100, 50, "never: the budget is reached in 5 days"),
        ([Flow(10, 30)], 100, 200, "10 days"),
        ([Flow(10, 30)], None, 50, "never: the budget is reached in 5 days"),
        ([Flow(10, 30)], 100, 0, "never: the budget is reached in less than a day"),
    ],
)
def test_outlook(flows, room_bytes, budget_left, words):
    assert outlook(flows, room_bytes, budget_left).startswith(words)
