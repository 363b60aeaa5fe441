from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices import credentials
from telemetry.devices.models import Credential
from telemetry.protocol import names

pytestmark = pytest.mark.django_db
KEY = "hub_aBcD1234_" + "x" * 43


class TestIssue:
    def test_a_key_has_the_form_of_the_protocol(self, boiler):
        credential, key = credentials.issue(boiler)
        assert names.KEY.fullmatch(key)
        assert credentials.prefix_of(key) == credential.prefix

    def test_the_database_holds_the_hash_alone(self, boiler):
        credential, key = credentials.issue(boiler)
        row = Credential.objects.values().get(pk=credential.pk)
        assert bytes(row["sha256"]) == hashlib.sha256(key.encode()).digest()
        secret = key.rpartition("_")[2] or key[-43:]
        assert not any(secret in str(value) for value in row.values())

    def test_keys_differ_and_live_side_by_side(self, boiler):
        keys = {credentials.issue(boiler)[1] for _ in range(20)}
        assert len(keys) == 20
        assert boiler.credentials.filter(revoked_at=None).count() == 20

    def test_a_key_can_have_an_end(self, boiler):
        end = timezone.now() + timedelta(days=1)
        assert credentials.issue(boiler, expires_at=end)[0].expires_at == end

    def test_neither_text_nor_repr_of_a_row_shows_more_than_the_prefix(self, boiler):
        credential, key = credentials.issue(boiler)
        assert str(credential) == f"hub_{credential.prefix}_…"
        assert key[13:] not in repr(credential)


class TestRevoke:
    def test_it_happens_once(self, boiler):
        credential, _ = credentials.issue(boiler)
        assert credentials.revoke(credential)
        first = Credential.objects.get(pk=credential.pk).revoked_at
        assert first == credential.revoked_at
        assert not credentials.revoke(credential)
        assert Credential.objects.get(pk=credential.pk).revoked_at == first


class TestPrefixOf:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hub_",
            KEY[:-1],
            KEY + "x",
            KEY + "\n",
            " " + KEY,
            KEY.upper(),
            KEY.replace("aBcD", "aBcÐ"),
            KEY.replace("aBcD", "aBc\x00"),
            KEY.replace("x", "\u0445"),
            "\ud800",
        ],
    )
    def test_what_is_not_a_key_has_none(self, text):
        assert credentials.prefix_of(text) is None

    @given(st.text())
    def test_no_text_raises(self, text):
        credentials.prefix_of(text)

    def test_a_key_has_its_eight_characters(self):
        assert credentials.prefix_of(KEY) == "aBcD1234"


class TestMatches:
    def test_the_right_key_matches_and_every_changed_one_does_not(self):
        sha256 = hashlib.sha256(KEY.encode()).digest()
        assert credentials.matches(KEY, sha256)
        for place in range(len(KEY)):
            wrong = KEY[:place] + "~" + KEY[place + 1 :]
            assert not credentials.matches(wrong, sha256)

    def test_nothing_matches_a_prefix_that_nobody_has(self):
        assert not credentials.matches(KEY, None)

    @pytest.mark.parametrize("sha256", [None, b"\x01" * 32])
    def test_known_and_unknown_are_compared_alike(self, monkeypatch, sha256):
        compared = []
        real = hmac.compare_digest

        def compare(left: bytes, right: bytes) -> bool:
            compared.append((len(left), len(right)))
            return real(left, right)

        monkeypatch.setattr(hmac, "compare_digest", compare)
        assert not credentials.matches(KEY, sha256)
        assert compared == [(32, 32)]
