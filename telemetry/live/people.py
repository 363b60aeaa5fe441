"""Who sits behind a browser's session, a screen's link or a script's token.

The same look for one socket at its handshake and for all open sockets together:
a constant number of queries for 500 of them. Runs on the database thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias

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

from ..devices import kiosk_cookie, tokens
from ..devices.access import NOTHING, Topics, token_topics, visible_topics

SLICE = 500

Headers: TypeAlias = Collection[tuple[bytes, bytes]]
# What a socket shows of itself: the key of a session, or a claim to a token.
Claim: TypeAlias = str | tokens.Claim


@dataclass(frozen=True, slots=True)
class Person:
    """A user, signed in or by a token, and what may be followed, as of one look."""

    id: int
    name: str
    topics: Topics


def session_key_of(headers: Headers) -> str | None:
    """The session key that a handshake's cookies carry; None of what can be none.

    All sockets are looked up in one query, which a NUL of one would fail for all.
    """
    key = _cookie(headers, settings.SESSION_COOKIE_NAME)
    return key if key and key.isascii() and key.isalnum() else None


def claims_of(headers: Headers) -> list[Claim]:
    """What a handshake's cookies claim: the session first, then a screen's link.

    Somebody who is signed in stays who they are, whatever link they tried out.
    """
    screen = _cookie(headers, settings.KIOSK_COOKIE_NAME)
    claims = [
        session_key_of(headers),
        None if screen is None else kiosk_cookie.read(screen),
    ]
    return [claim for claim in claims if claim is not None]


def _cookie(headers: Headers, cookie: str) -> str | None:
    for name, value in headers:
        if name != b"cookie":
            continue
        try:
            cookies = SimpleCookie(value.decode("latin-1"))
        except CookieError:
            continue
        if cookie in cookies:
            return cookies[cookie].value
    return None


def find_people(claims: Collection[Claim]) -> dict[Claim, Person]:
    """The active user of each claim that holds; the others are left out.

    A session ends by log-out, age, a changed password, or its user's deactivation;
    a token by its revocation or expiry, or its user's deactivation.
    """
    sessions = {claim for claim in claims if isinstance(claim, str)}
    shown = {claim for claim in claims if not isinstance(claim, str)}
    return _by_session(sessions) | _by_token(shown)


def _by_session(session_keys: Collection[str]) -> dict[Claim, Person]:
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


def _by_token(claims: Collection[tokens.Claim]) -> dict[Claim, Person]:
    found = tokens.find(claims)
    topics = token_topics(list(found.values()))
    return {
        claim: Person(token.user_id, token.name, topics[token.pk])
        for claim, token in found.items()
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
