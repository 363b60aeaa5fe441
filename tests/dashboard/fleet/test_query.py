"""The fleet's address, filter and order: the same cases as the script's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.http import QueryDict

from telemetry.dashboard.fleet.query import (
    SEARCH_CHARACTERS,
    Query,
    count_states,
    natural,
    read,
    select,
)

CASES = json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))
GROUPS, METRICS = {"plant", "yard", "gate"}, {"temp", "hum", "a.b:c/d-e"}


@dataclass
class Device:
    slug: str
    name: str
    tags: str
    serial: str
    state: str
    groups: list[tuple[str, str]]
    values: list[float | str | None]
    last_ms: float | None

    @property
    def group_slugs(self) -> list[str]:
        return [slug for slug, _ in self.groups]

    @property
    def group_name(self) -> str:
        return self.groups[0][1] if self.groups else ""


DEVICES = [Device(*row.values()) for row in CASES["rows"]]


def asked(address: str) -> Query:
    return read(QueryDict(address.removeprefix("?")), GROUPS, METRICS)


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_case(case):
    found = select(DEVICES, asked(case["address"]))
    assert [device.slug for device in found] == case["expect"]


@pytest.mark.parametrize(
    "address",
    [
        "?q=north+wing",
        "?status=late",
        "?group=yard&sort=-m1",
        "?view=tiles&m=temp,hum",
        "?m=a.b:c/d-e",
    ],
)
def test_the_address_stays_as_it_is(address):
    again = asked(asked(address).address())
    assert again == asked(address)
    assert set(again.address()[1:].split("&")) == {
        part.replace(":", "%3A").replace("/", "%2F") for part in address[1:].split("&")
    }


def test_two_metrics_at_most_each_once_in_one_field_or_several():
    assert asked("?m=temp,hum,a.b:c/d-e").metrics == ("temp", "hum")
    assert asked("?m=temp&m=hum").metrics == ("temp", "hum")
    assert asked("?m=temp,temp,,nope").metrics == ("temp",)


@pytest.mark.parametrize("length", [SEARCH_CHARACTERS, SEARCH_CHARACTERS + 1])
def test_a_search_is_cut(length):
    assert len(asked("?q=" + "x" * length).search) == SEARCH_CHARACTERS


def test_a_state_that_nobody_is_in_is_counted_too():
    counts = count_states(DEVICES)
    assert counts == {"live": 3, "late": 1, "offline": 1, "new": 1, "paused": 1}
    assert count_states([])["late"] == 0


def test_numbers_in_names_are_numbers():
    names = ["a10", "a9", "A1", "a", "10", "9 b"]
    assert sorted(names, key=natural) == ["9 b", "10", "a", "A1", "a9", "a10"]
