"""`/bench/charts`: routed with DEBUG only, and what it takes."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory

from telemetry.dashboard.groups import bench


def config_of(query: str, user: object) -> dict[str, object]:
    request = RequestFactory().get(f"/bench/charts?{query}")
    request.user = user  # type: ignore[assignment]
    answer = bench.charts(request)
    assert answer.status_code == 200
    found = re.search(r'id="bench-config"[^>]*>(.*?)</script>', answer.content.decode())
    assert found is not None
    config: dict[str, object] = json.loads(found[1])
    return config


@pytest.mark.django_db
def test_without_debug_there_is_no_bench(people, sign_in):
    assert sign_in(people.staff).get("/bench/charts").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (50, 10, 3, 0)),
        ("n=12&hz=5&devices=1&hours=8", (12, 5, 1, 8)),
        ("n=200&hz=20&devices=100&hours=48", (200, 20, 100, 48)),
        ("n=201&hz=21&devices=101&hours=49", (200, 20, 100, 48)),
        ("n=0&hz=0&devices=0", (1, 1, 1, 0)),
        ("n=-1&hz=x&devices=1e9&hours=²", (50, 10, 3, 0)),
    ],
)
def test_numbers_are_those_asked_for_or_the_nearest(people, query, expected):
    config = config_of(query, people.staff)
    names = ("charts", "hz", "devices", "hours")
    assert tuple(config[name] for name in names) == expected


def test_nobody_signed_in_is_sent_to_sign_in():
    request = RequestFactory().get("/bench/charts")
    request.user = AnonymousUser()
    assert bench.charts(request).status_code == 302
