"""Who may see and operate what: the one decision, asked by pages and sockets.

Active staff see everything. Others have a role in a device group by a GroupAccess
row, their own or that of a group of users they are in, and see the group and its
devices. In several groups the rights are the union. The inactive see nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Q, QuerySet

from .models import Device, DeviceGroup, GroupAccess

Person: TypeAlias = AbstractBaseUser | AnonymousUser
SLICE = 500


@dataclass(frozen=True, slots=True)
class Topics:
    """What one user may follow, for sockets: decided once, asked for each topic.

    is_active False: signed out, deactivated or gone; nothing may be followed.
    """

    is_active: bool = False
    sees_all: bool = False
    groups: frozenset[str] = frozenset()

    def has_group(self, slug: str) -> bool:
        """Whether the device group of this slug may be followed, if there is one."""
        return self.sees_all or slug in self.groups

    def has_device(self, group_slugs: frozenset[str]) -> bool:
        """Whether a device in these groups may be followed."""
        return self.sees_all or not self.groups.isdisjoint(group_slugs)


NOTHING = Topics()


def sees_all(person: Person) -> bool:
    """Whether `person` sees every group and device."""
    is_staff = getattr(person, "is_staff", False)
    return person.is_active and (is_staff or getattr(person, "is_superuser", False))


def visible_groups(person: Person) -> QuerySet[DeviceGroup]:
    """The device groups that `person` may see; each once."""
    groups: QuerySet[DeviceGroup] = DeviceGroup.objects.all()
    if sees_all(person):
        return groups
    return groups.filter(pk__in=_access_of(person).values("group"))


def visible_devices(person: Person) -> QuerySet[Device]:
    """The living devices that `person` may see; each once."""
    devices: QuerySet[Device] = Device.objects.alive()
    if sees_all(person):
        return devices
    membership = Device.groups.through.objects.filter(
        devicegroup__in=_access_of(person).values("group")
    )
    return devices.filter(pk__in=membership.values("device"))


def visible_topics(user_ids: Collection[int]) -> dict[int, Topics]:
    """What each of these users may follow, in three queries for 500 users.

    Every asked id is in the answer; `NOTHING` for those inactive or unknown.
    """
    topics = dict.fromkeys(user_ids, NOTHING)
    for part in _slices(sorted(topics)):
        topics |= _topics_of(part)
    return topics


def _topics_of(user_ids: list[int]) -> dict[int, Topics]:
    users: QuerySet[User] = get_user_model()._default_manager.filter(
        pk__in=user_ids, is_active=True
    )
    active = users.values_list("pk", "is_staff", "is_superuser")
    groups: dict[int, set[str]] = {pk: set() for pk in user_ids}
    own = GroupAccess.objects.filter(user__in=user_ids)
    shared = GroupAccess.objects.filter(user_group__user__in=user_ids)
    for user_id, slug in own.values_list("user_id", "group__slug"):
        groups[user_id].add(slug)
    for user_id, slug in shared.values_list("user_group__user", "group__slug"):
        # The join also brings the other users of the same group.
        if user_id in groups:
            groups[user_id].add(slug)
    return {
        pk: Topics(True, is_staff or is_superuser, frozenset(groups[pk]))
        for pk, is_staff, is_superuser in active
    }


def _access_of(person: Person) -> QuerySet[GroupAccess]:
    rows: QuerySet[GroupAccess] = GroupAccess.objects.all()
    if not person.is_active or person.pk is None:
        return rows.none()
    return rows.filter(Q(user=person.pk) | Q(user_group__user=person.pk))


def _slices(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + SLICE] for start in range(0, len(ids), SLICE))
