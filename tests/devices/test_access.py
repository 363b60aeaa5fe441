from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from telemetry.devices.access import (
    NOTHING,
    visible_devices,
    visible_groups,
    visible_topics,
)
from telemetry.devices.models import DeviceGroup, GroupAccess, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(make_device) -> DeviceGroup:
    group = DeviceGroup.objects.create(slug="other", name="Other")
    make_device("fan-1", group)
    make_device("gone", group).delete()
    return group


@pytest.fixture
def world(people, plant, boiler, other, make_device):
    """Two groups, a device in none, one deleted; and people of every sort."""
    make_device("loner")
    return people


def person(people, name: str):
    return AnonymousUser() if name == "anonymous" else getattr(people, name)


TABLE = [
    # who, groups, devices
    ("alice", {"plant"}, {"boiler-7"}),
    ("bob", {"plant"}, {"boiler-7"}),
    ("charlie", set(), set()),
    ("staff", {"plant", "other"}, {"boiler-7", "fan-1", "loner"}),
    ("inactive", set(), set()),
    ("anonymous", set(), set()),
]


@pytest.mark.parametrize(("who", "groups", "devices"), TABLE)
class TestTheTable:
    def test_pages(self, world, who, groups, devices):
        user = person(world, who)
        assert {group.slug for group in visible_groups(user)} == groups
        assert {device.slug for device in visible_devices(user)} == devices

    def test_sockets_decide_as_pages_do(self, world, who, groups, devices):
        if who == "anonymous":
            return
        user = person(world, who)
        topics = visible_topics([user.pk])[user.pk]
        assert topics.is_active is user.is_active
        for slug in ("plant", "other"):
            assert topics.has_group(slug) is (slug in groups)
        assert topics.has_device(frozenset({"plant"})) is ("boiler-7" in devices)
        assert topics.has_device(frozenset({"other"})) is ("fan-1" in devices)
        assert topics.has_device(frozenset()) is ("loner" in devices)


class TestRights:
    def test_come_through_a_group_of_users_too(self, world, other):
        crew = Group.objects.create(name="crew")
        world.charlie.groups.add(crew)
        GroupAccess.objects.create(group=other, user_group=crew, role=Role.OPERATOR)
        topics = visible_topics([world.charlie.pk, world.bob.pk])
        assert topics[world.charlie.pk].groups == {"other"}
        assert topics[world.bob.pk].groups == {"plant"}

    def test_are_the_union_and_show_each_thing_once(self, world, plant, other, boiler):
        crew = Group.objects.create(name="crew")
        world.bob.groups.add(crew)
        GroupAccess.objects.create(group=plant, user_group=crew, role=Role.OPERATOR)
        GroupAccess.objects.create(group=other, user_group=crew)
        boiler.groups.add(other)
        assert sorted(d.slug for d in visible_devices(world.bob)) == [
            "boiler-7",
            "fan-1",
        ]
        assert sorted(g.slug for g in visible_groups(world.bob)) == ["other", "plant"]

    def test_a_disabled_device_is_still_seen(self, world, boiler):
        boiler.is_enabled = False
        boiler.save()
        assert boiler in visible_devices(world.bob)

    def test_a_superuser_sees_all(self, world):
        root = User.objects.create(username="root", is_superuser=True)
        assert visible_groups(root).count() == 2
        assert visible_topics([root.pk])[root.pk].has_group("other")


class TestVisibleTopics:
    def test_everybody_who_was_asked_for_is_answered(self, world):
        assert visible_topics([world.inactive.pk, 999_999]) == {
            world.inactive.pk: NOTHING,
            999_999: NOTHING,
        }

    def test_takes_three_queries_for_many_users(
        self, world, plant, django_assert_num_queries
    ):
        users = User.objects.bulk_create([User(username=f"u{n}") for n in range(300)])
        GroupAccess.objects.bulk_create(
            [GroupAccess(group=plant, user=user) for user in users[::2]]
        )
        with django_assert_num_queries(3):
            topics = visible_topics([user.pk for user in users])
        assert sum(t.has_group("plant") for t in topics.values()) == 150
