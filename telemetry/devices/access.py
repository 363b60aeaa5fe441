"""Who may see and operate what: the one decision, asked by pages and sockets.

Active staff see everything. Others have a role in a device group by a GroupAccess
row, their own or that of a group of users they are in, and see the group and its
devices. In several groups the rights are the union. The inactive see nothing.

An access token sees what its user sees, and of that its groups alone; a script's
token without groups sees all of it. One that has ended sees nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Q, QuerySet
from django.utils import timezone

from .access_token import AccessToken, TokenKind
from .models import Device, DeviceGroup, GroupAccess

Person: TypeAlias = AbstractBaseUser | AnonymousUser
Seer: TypeAlias = Person | AccessToken
SLICE = 500


@dataclass(frozen=True, slots=True)
class Topics:
    """What a user or token may follow, for sockets: decided once, asked for each topic.

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


def visible_groups(seer: Seer) -> QuerySet[DeviceGroup]:
    """The device groups that `seer` may see; each once."""
    groups: QuerySet[DeviceGroup] = DeviceGroup.objects.all()
    if isinstance(seer, AccessToken):
        groups = visible_groups(_user_of(seer))
        return groups.filter(pk__in=_groups_of(seer)) if _is_limited(seer) else groups
    if sees_all(seer):
        return groups
    return groups.filter(pk__in=_access_of(seer).values("group"))


def visible_devices(seer: Seer) -> QuerySet[Device]:
    """The living devices that `seer` may see; each once."""
    devices: QuerySet[Device] = Device.objects.alive()
    if isinstance(seer, AccessToken):
        if not _is_limited(seer):
            return visible_devices(_user_of(seer))
    elif sees_all(seer):
        return devices
    groups = visible_groups(seer).order_by().values("pk")
    membership = Device.groups.through.objects.filter(devicegroup__in=groups)
    return devices.filter(pk__in=membership.values("device"))


def visible_topics(user_ids: Collection[int]) -> dict[int, Topics]:
    """What each of these users may follow, in three queries for 500 users.

    Every asked id is in the answer; `NOTHING` for those inactive or unknown.
    """
    topics = dict.fromkeys(user_ids, NOTHING)
    for part in _slices(sorted(topics)):
        topics |= _topics_of(part)
    return topics


def token_topics(tokens: Collection[AccessToken]) -> dict[int, Topics]:
    """What each of these tokens may follow, by id, in four queries for 500."""
    now = timezone.now()
    of_users = visible_topics({token.user_id for token in tokens})
    within: dict[int, set[str]] = {token.pk: set() for token in tokens}
    for part in _slices(sorted(within)):
        through = AccessToken.groups.through.objects.filter(accesstoken__in=part)
        for pk, slug in through.values_list("accesstoken_id", "devicegroup__slug"):
            within[pk].add(slug)
    return {
        token.pk: _narrowed(of_users[token.user_id], token.kind, within[token.pk])
        if token.is_usable(now)
        else NOTHING
        for token in tokens
    }


def _narrowed(topics: Topics, kind: str, slugs: set[str]) -> Topics:
    is_limited = kind == TokenKind.KIOSK or slugs
    if not topics.is_active or not is_limited:
        return topics
    groups = frozenset(slugs)
    return Topics(True, False, groups if topics.sees_all else groups & topics.groups)


def _user_of(token: AccessToken) -> Person:
    return token.user if token.is_usable(timezone.now()) else AnonymousUser()


def _is_limited(token: AccessToken) -> bool:
    """Whether the token sees its own groups alone."""
    return token.kind == TokenKind.KIOSK or token.groups.exists()


def _groups_of(token: AccessToken) -> QuerySet[DeviceGroup]:
    groups: QuerySet[DeviceGroup] = token.groups.order_by()
    return groups.only("pk")


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
