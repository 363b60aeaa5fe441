"""`/d/<slug>/events` and `connection`: what the page of a device renews."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from telemetry.dashboard.device import parts
from telemetry.devices.models import Device
from telemetry.devices.records import DeviceEvent

from ..conftest import add_device

ADDRESSES = ["/d/pump/events", "/d/pump/connection"]


@pytest.fixture
def pump(plant) -> Device:
    return add_device(plant, "pump", is_online=True)


@pytest.fixture
def bob(people, sign_in):
    return sign_in(people.bob)


def add_events(device: Device, count: int) -> None:
    now = timezone.now()
    DeviceEvent.objects.bulk_create(
        DeviceEvent(
            device_id=device.pk,
            at=now - timedelta(seconds=at),
            kind="firmware",
            text=f"1.{at}",
        )
        for at in range(count)
    )


def rows(answer) -> list[str]:
    return re.findall(r"Firmware (1\.\d+)<", answer.content.decode())


def older(answer) -> str | None:
    found = re.search(r'data-part="([^"]*)"', answer.content.decode())
    return unescape(found[1]) if found else None


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_may_not_be_seen_is_what_does_not_exist(
    pump, people, sign_in, client, address
):
    charlie = sign_in(people.charlie)
    assert charlie.get(address).status_code == 404
    assert charlie.get(address.replace("pump", "nothing")).status_code == 404
    assert client.get(address)["Location"].startswith("/login?next=")


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_reads_and_is_never_kept(pump, bob, address):
    assert bob.post(address).status_code == 405
    answer = bob.get(address)
    assert "no-store" in answer["Cache-Control"]
    # A part, not a page.
    assert b"<html" not in answer.content


def test_the_newest_events_come_first_and_lead_to_older_ones(pump, bob, monkeypatch):
    monkeypatch.setattr(parts, "EVENTS", 3)
    monkeypatch.setattr(parts, "MOST_EVENTS", 7)
    add_events(pump, 9)
    first = bob.get("/d/pump/events")
    assert rows(first) == ["1.0", "1.1", "1.2"]
    second = bob.get(older(first))
    assert rows(second) == [f"1.{at}" for at in range(6)]
    # An open page shows so many and no more.
    last = bob.get(older(second))
    assert rows(last) == [f"1.{at}" for at in range(7)]
    assert older(last) is None


def test_where_all_are_shown_there_are_no_older_ones(pump, bob, monkeypatch):
    monkeypatch.setattr(parts, "EVENTS", 3)
    add_events(pump, 3)
    assert older(bob.get("/d/pump/events")) is None


@pytest.mark.parametrize("count", ["", "x", "-5", "0", "٣", "9" * 30, "<b>"])
def test_a_wrong_number_is_one_that_there_is(pump, bob, count):
    add_events(pump, 2)
    assert rows(bob.get("/d/pump/events", {"events": count})) == ["1.0", "1.1"]


def test_an_event_of_today_is_told_by_its_time(pump, bob):
    add_events(pump, 1)
    DeviceEvent.objects.update(at=timezone.now())
    assert re.search(r">\d\d:\d\d:\d\d</time>", bob.get(ADDRESSES[0]).content.decode())
    DeviceEvent.objects.update(at="2026-01-02T03:04:05Z")
    assert ">2026-01-02 03:04:05</time>" in bob.get(ADDRESSES[0]).content.decode()


def test_hostile_text_stays_text(pump, bob):
    add_events(pump, 1)
    DeviceEvent.objects.update(text="<script>alert(1)</script>")
    assert b"<script" not in bob.get("/d/pump/events").content


def test_the_link_is_told_in_the_words_of_the_page(pump, bob):
    text = bob.get("/d/pump/connection").content.decode()
    assert 'data-quality="lost">none<' in text
    assert text.count("strip-hour") == 24
