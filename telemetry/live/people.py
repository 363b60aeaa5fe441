"""Who sits behind a browser's session, and whether it still holds.

The same look for one socket at its handshake and for all open sockets together:
a constant number of queries for 500 of them. Runs on the database thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ..devices.access import NOTHING, Topics, visible_topics

SLICE = 500


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in user and what they may follow, as of one look."""

    id: int
    name: str
    topics: Topics


def session_key_of(headers: Collection[tuple[bytes, bytes]]) -> str | None:
    """The session key that a handshake's cookies carry."""
    for name, value in headers:
        if name != b"cookie":
            continue
        try:
            cookies = SimpleCookie(value.decode("latin-1"))
        except CookieError:
            continue
        if settings.SESSION_COOKIE_NAME in cookies:
            return cookies[settings.SESSION_COOKIE_NAME].value
    return None


def find_people(session_keys: Collection[str]) -> dict[str, Person]:
    """The active user of each session that holds; the others are left out.

    A session ends by log-out, age, a changed password, or its user's deactivation.
    """
    sessions = _read_sessions(session_keys)
    users = _read_users({_user_id(session) for session in sessions.values()})
    holds = {
        key: users[_user_id(session)]
        for key, session in sessions.items()
        if _user_id(session) in users and _is_of(session, users[_user_id(session)])
    }
    topics = visible_topics({user.pk for user in holds.values()})
    return {
        key: Person(user.pk, user.get_username(), topics.get(user.pk, NOTHING))
        for key, user in holds.items()
    }


def _read_sessions(keys: Collection[str]) -> dict[str, Mapping[str, Any]]:
    store = SessionStore()
    found: dict[str, Mapping[str, Any]] = {}
    for part in _slices(sorted(keys)):
        rows = Session.objects.filter(
            session_key__in=part, expire_date__gt=timezone.now()
        )
        for row in rows:
            # Not to be decoded (another SECRET_KEY): an empty session.
            found[row.session_key] = store.decode(row.session_data)
    return found


def _read_users(ids: set[str]) -> dict[str, AbstractBaseUser]:
    users: dict[str, AbstractBaseUser] = {}
    numbers = [key for key in ids if key.isdecimal()]
    for part in _slices(sorted(numbers)):
        rows = get_user_model()._default_manager.filter(pk__in=part, is_active=True)
        users |= {str(user.pk): user for user in rows}
    return users


def _user_id(session: Mapping[str, Any]) -> str:
    return str(session.get(SESSION_KEY, ""))


def _is_of(session: Mapping[str, Any], user: AbstractBaseUser) -> bool:
    """Whether the session was opened with the password that the user still has."""
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return False
    given = session.get(HASH_SESSION_KEY, "")
    expected = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(given, one) for one in expected)


def _slices(values: list[str]) -> Iterator[list[str]]:
    return (values[start : start + SLICE] for start in range(0, len(values), SLICE))
