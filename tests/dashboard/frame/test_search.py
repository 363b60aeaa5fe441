"""Search: who finds what by which words, and what a browser may ask."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils.http import urlencode

from telemetry.dashboard.frame import search
from telemetry.dashboard.frame.search import (
    MOST_CHARACTERS,
    MOST_HITS,
    MOST_WORDS,
    cleaned,
)
from telemetry.devices.models import Device, DeviceGroup


@pytest.fixture
def fleet(plant: DeviceGroup) -> dict[str, Device]:
    """Three devices of the plant and one of another group, "other"."""
    other = DeviceGroup.objects.create(slug="other", name="Other boilers")
    made = {}
    for slug, name, serial, tags, group in (
        ("boiler-17", "Boiler in the cellar", "SN-0017", "heat, old", plant),
        ("boiler-18", "Boiler in the attic", "SN-0018", "heat", plant),
        ("pump-3", "50 % pump", "P_3", "water", plant),
        ("hidden", "Boiler of others", "SN-9", "heat", other),
    ):
        device = Device.objects.create(slug=slug, name=name, serial=serial, tags=tags)
        device.groups.add(group)
        made[slug] = device
    return made


def ask(client: Client, asked: str):
    return client.get("/search?" + urlencode({"q": asked}))


def hits(client: Client, asked: str) -> list[str]:
    """The slugs that were found, or the address one was sent to."""
    answer = ask(client, asked)
    if answer.status_code == 302:
        return [answer["Location"]]
    assert answer.status_code == 200
    context = answer.context
    return [each.slug for each in [*context["groups"], *context["devices"]]]


FOUND = [
    ("boiler", ["boiler-18", "boiler-17"]),
    ("BOILER", ["boiler-18", "boiler-17"]),
    ("cellar boiler", ["/d/boiler-17"]),
    ("sn-0018", ["/d/boiler-18"]),
    ("heat", ["boiler-18", "boiler-17"]),
    ("heat old", ["/d/boiler-17"]),
    ("pump-3", ["/d/pump-3"]),
    ("plant", ["/g/plant"]),
    # Not patterns: they are characters like others.
    ("50 %", ["/d/pump-3"]),
    ("_", ["/d/pump-3"]),
    ("%", ["/d/pump-3"]),
    ("of others", []),
    ("nowhere", []),
    ("", []),
    (" \t ", []),
]


@pytest.mark.parametrize(("asked", "expected"), FOUND, ids=lambda each: repr(each))
def test_finds_by_name_slug_serial_and_tag_what_one_may_see(
    asked, expected, fleet, people, sign_in
):
    assert hits(sign_in(people.bob), asked) == expected


def test_who_may_see_nothing_finds_nothing(fleet, people, sign_in):
    assert hits(sign_in(people.charlie), "boiler") == []


def test_staff_find_all(fleet, people, sign_in):
    found = hits(sign_in(people.staff), "boiler")
    assert found == ["other", "boiler-18", "boiler-17", "hidden"]


def test_what_is_called_so_comes_first(plant, people, sign_in):
    for slug, name in (("a", "Big pump"), ("b", "Pump house"), ("c", "Pump")):
        device = Device.objects.create(slug=slug, name=name)
        device.groups.add(plant)
    assert hits(sign_in(people.bob), "pump") == ["c", "b", "a"]


def test_a_deleted_device_is_not_found(fleet, people, sign_in):
    fleet["pump-3"].delete()
    assert hits(sign_in(people.bob), "pump-3") == []


def test_a_hit_names_only_groups_that_one_may_see(fleet, people, sign_in):
    for slug in ("boiler-17", "boiler-18"):
        fleet[slug].groups.add(DeviceGroup.objects.get(slug="other"))
    page = ask(sign_in(people.bob), "boiler").content.decode()
    assert "Plant A" in page
    assert "Other boilers" not in page


@pytest.mark.parametrize("asked", ["<script>alert(1)</script>", "\u202eevil", '"><b>'])
def test_what_was_asked_is_shown_as_text(asked, fleet, people, sign_in):
    page = ask(sign_in(people.bob), asked).content.decode()
    assert "<script>alert" not in page
    assert '"><b>' not in page


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("a\0b", "a b"),
        ("  two\n words ", "two words"),
        ("\u202eevil", "evil"),
        ("x" * MOST_CHARACTERS, "x" * MOST_CHARACTERS),
        ("x" * (MOST_CHARACTERS + 1), "x" * MOST_CHARACTERS),
        ("\U0001f468\u200d\U0001f52c", "\U0001f468 \U0001f52c"),
    ],
    ids=["nul", "spaces", "bidi", "longest", "longer", "joined emoji"],
)
def test_a_question_is_one_line_of_what_can_be_written(asked, expected):
    assert cleaned(asked) == expected


def test_only_so_many_words_are_looked_for(fleet, people, sign_in):
    bob = sign_in(people.bob)
    assert hits(bob, " ".join(["pump"] * MOST_WORDS + ["nowhere"])) == ["/d/pump-3"]
    assert hits(bob, " ".join(["pump"] * (MOST_WORDS - 1) + ["nowhere"])) == []


def test_only_so_many_hits_are_shown_and_it_says_so(plant, people, sign_in):
    bob = sign_in(people.bob)
    for at in range(MOST_HITS):
        Device.objects.create(slug=f"d{at}", name=f"Fan {at}").groups.add(plant)
    assert "Only the first" not in ask(bob, "fan").content.decode()
    Device.objects.create(slug="more", name="Fan more").groups.add(plant)
    page = ask(bob, "fan")
    assert "Only the first 50" in page.content.decode()
    assert len(page.context["devices"]) == MOST_HITS


def test_the_number_of_queries_does_not_grow_with_the_hits(
    plant, people, sign_in, django_assert_max_num_queries
):
    bob = sign_in(people.bob)
    for at in range(20):
        Device.objects.create(slug=f"d{at}", name=f"Fan {at}").groups.add(plant)
    with django_assert_max_num_queries(7):
        assert len(hits(bob, "fan")) == 20


def test_a_stranger_is_sent_to_sign_in(client, db):
    assert ask(client, "x")["Location"].startswith("/login?next=/search")


def test_only_reading_is_allowed(people, sign_in):
    assert sign_in(people.bob).post("/search", {"q": "x"}).status_code == 405


@pytest.mark.parametrize("path", ["/g/nope", "/d/nope", "/nope"])
def test_a_page_that_is_not_there_offers_search(path, people, sign_in):
    answer = sign_in(people.bob).get(path)
    assert answer.status_code == 404
    main = answer.content.decode().split("<main")[1]
    assert 'action="/search"' in main


def test_a_stranger_is_offered_none(client, db):
    assert 'action="/search"' not in client.get("/nope").content.decode()


def test_columns_are_there():
    assert {field.name for field in Device._meta.get_fields()} >= set(
        search.DEVICE_COLUMNS
    )
