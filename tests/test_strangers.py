"""What somebody may read who shows nothing: no session, no key, no token."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from telemetry.devices.models import Device, DeviceGroup

pytestmark = pytest.mark.django_db

# As SECURITY.md says it; /readyz looks from a thread of its own: tests/ops.
OPEN = {"healthz", "login", "jsi18n/", "admin/login/"}
NAME = "Salt mine"


def routes() -> list[str]:
    """Every address of the hub, with something that exists in each place."""

    def walk(resolver: URLResolver, before: str) -> Iterator[str]:
        for each in resolver.url_patterns:
            route = before + str(each.pattern).replace("^", "").replace("$", "")
            if isinstance(each, URLPattern):
                yield route
            else:
                yield from walk(each, route)

    return sorted({*walk(get_resolver(), "")} - {"readyz"})


@pytest.fixture(autouse=True)
def mine() -> None:
    group = DeviceGroup.objects.create(name=NAME, slug="mine")
    Device.objects.create(name=NAME, slug="mine").groups.add(group)


def test_a_stranger_reads_nothing_of_devices(client):
    wrong = []
    for route in routes():
        for exists in ("mine", "none"):
            path = "/" + re.sub(r"<\w+:\w+>|<\w+>|\(\?P<\w+>[^)]*\)", exists, route)
            answer = client.get(path)
            if NAME in answer.content.decode(errors="replace"):
                wrong.append((path, "says the name"))
            is_refused = answer.status_code in {301, 302, 401, 403, 404, 405}
            if route not in OPEN and not is_refused:
                wrong.append((path, answer.status_code))
            is_elsewhere = "login" not in answer.get("Location", "login")
            if answer.status_code == 302 and is_elsewhere and "logout" not in path:
                wrong.append((path, answer["Location"]))
    assert wrong == []


@pytest.mark.parametrize("room", ["g", "d"])
def test_what_exists_answers_as_what_does_not(client, room: str):
    answers = [client.get(f"/{room}/{slug}") for slug in ("mine", "none")]
    assert {each.status_code for each in answers} == {302}
    assert [each["Location"] for each in answers] == [
        f"/login?next=/{room}/{slug}" for slug in ("mine", "none")
    ]
