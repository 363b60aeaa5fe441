"""Access tokens in the admin: a secret is shown once, ending one asks first."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from telemetry.devices import tokens
from telemetry.devices.access_token import AccessToken, TokenKind
from telemetry.devices.models import DeviceGroup

from .conftest import allow, fields_of

LIST = "/admin/telemetry/accesstoken/"
ADD = f"{LIST}add/"


@pytest.fixture
def plant(db: None) -> DeviceGroup:
    return DeviceGroup.objects.create(slug="plant", name="Plant A")


@pytest.fixture
def token(root: User, plant: DeviceGroup) -> AccessToken:
    return tokens.make(root, TokenKind.KIOSK, "Hall 2", groups=[plant])[0]


def is_revoked(token: AccessToken) -> bool:
    return AccessToken.objects.get(pk=token.pk).revoked_at is not None


def add(browser: Client, **fields: object):
    sent = fields_of(browser.get(ADD).content.decode())
    return browser.post(ADD, {**sent, **fields})


class TestMaking:
    def test_a_script_gets_a_token_that_is_shown_once(self, browser, root):
        answer = add(browser, name="export", kind="script", user=root.pk)
        assert "no-store" in answer["Cache-Control"]
        page = answer.content.decode()
        [secret] = set(re.findall(r"hubt_\w{8}_[\w-]{43}", page))
        token = AccessToken.objects.get()
        assert tokens.find_one(tokens.claim_of(secret, TokenKind.SCRIPT)) == token
        assert "/ws/live" in page and "/api/v1/readings" in page
        for path in (LIST, f"{LIST}{token.pk}/change/", f"{LIST}{token.pk}/history/"):
            shown = browser.get(path).content.decode()
            assert secret not in shown and secret.split("_", 2)[2] not in shown

    def test_a_screen_gets_a_link(self, browser, root, plant, settings):
        answer = add(
            browser, name="Hall", kind="kiosk", user=root.pk, groups=[plant.pk]
        )
        page = answer.content.decode()
        assert re.search(rf"{settings.HUB_URL}/k/hubt_\w{{8}}_[\w-]{{43}}", page)
        assert list(AccessToken.objects.get().groups.all()) == [plant]

    def test_a_page_that_is_loaded_again_makes_no_second_one(self, browser, root):
        sent = fields_of(browser.get(ADD).content.decode())
        sent |= {"name": "export", "kind": "script", "user": str(root.pk)}
        browser.post(ADD, sent)
        assert browser.post(ADD, sent)["Location"] == LIST
        assert AccessToken.objects.count() == 1

    def test_a_screen_without_a_group_is_refused(self, browser, root):
        answer = add(browser, name="Hall", kind="kiosk", user=root.pk)
        assert "Expected a group" in answer.content.decode()
        assert not AccessToken.objects.exists()

    def test_an_end_that_is_over_is_refused(self, browser, root):
        answer = add(
            browser,
            name="x",
            kind="script",
            user=root.pk,
            expires_at_0="2020-01-01",
            expires_at_1="00:00:00",
        )
        assert "got one that is over" in answer.content.decode()
        assert not AccessToken.objects.exists()


class TestEditing:
    def test_name_groups_and_end_change_and_nothing_else(
        self, browser, root, token, plant
    ):
        other = User.objects.create_user("other")
        path = f"{LIST}{token.pk}/change/"
        before = bytes(token.sha256)
        fields = fields_of(browser.get(path).content.decode())
        assert {"kind", "user", "prefix", "sha256", "revoked_at"}.isdisjoint(fields)
        fields |= {"name": "Hall 3", "groups": str(plant.pk), "user": str(other.pk)}
        fields |= {"kind": "script", "prefix": "AAAAAAAA", "sha256": "x"}
        assert browser.post(path, fields).status_code == 302
        token.refresh_from_db()
        assert (token.name, token.user, token.kind) == ("Hall 3", root, "kiosk")
        assert bytes(token.sha256) == before

    def test_a_screen_keeps_a_group(self, browser, token):
        path = f"{LIST}{token.pk}/change/"
        fields = fields_of(browser.get(path).content.decode())
        fields.pop("groups", None)
        assert "Expected a group" in browser.post(path, fields).content.decode()

    def test_one_that_has_expired_may_get_another_name(self, browser, token):
        AccessToken.objects.update(expires_at=timezone.now() - timedelta(days=1))
        path = f"{LIST}{token.pk}/change/"
        fields = fields_of(browser.get(path).content.decode())
        fields |= {"name": "Old", "groups": str(token.groups.get().pk)}
        assert browser.post(path, fields).status_code == 302
        token.refresh_from_db()
        assert token.name == "Old"


class TestRevoking:
    def revoke(self, browser: Client, *chosen: AccessToken, **more: str):
        rows = [str(each.pk) for each in chosen]
        return browser.post(
            LIST, {"action": "revoke", "_selected_action": rows, **more}, follow=True
        )

    def test_asks_first_and_names_them(self, browser, token):
        page = self.revoke(browser, token).content.decode()
        assert "Hall 2" in page and token.shown_prefix in page
        assert not is_revoked(token)
        assert "Revoked 1 access token." in (
            self.revoke(browser, token, is_confirmed="yes").content.decode()
        )
        assert is_revoked(token)
        [entry] = LogEntry.objects.all()
        assert entry.object_id == str(token.pk)
        assert "Revoked 1" in entry.change_message

    def test_again_changes_nothing(self, browser, token):
        self.revoke(browser, token, is_confirmed="yes")
        token.refresh_from_db()
        revoked_at = token.revoked_at
        page = self.revoke(browser, token).content.decode()
        assert "Revoked 0 access tokens." in page
        token.refresh_from_db()
        assert token.revoked_at == revoked_at


class TestTheList:
    def test_says_how_each_is(self, browser, root, token, plant):
        hour_ago = timezone.now() - timedelta(hours=1)
        tokens.make(root, TokenKind.SCRIPT, "old", expires_at=hour_ago)
        gone = User.objects.create_user("gone", is_active=False)
        tokens.make(gone, TokenKind.SCRIPT, "resting")
        page = browser.get(LIST).content.decode()
        for text in ("Valid", "Expired", "Its user is inactive", "Plant A"):
            assert text in page
        assert "all that its user sees" in page

    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            ("valid", {"good"}),
            ("expired", {"old"}),
            ("revoked", {"ended"}),
            ("unused", {"good", "old", "ended"}),
        ],
    )
    def test_is_filtered_by_state(self, browser, root, state, shown):
        hour_ago = timezone.now() - timedelta(hours=1)
        tokens.make(root, TokenKind.SCRIPT, "good")
        tokens.make(root, TokenKind.SCRIPT, "old", expires_at=hour_ago)
        tokens.revoke(tokens.make(root, TokenKind.SCRIPT, "ended")[0])
        page = browser.get(LIST, {"state": state}).content.decode()
        for name in ("good", "old", "ended"):
            assert (f">{name}</a>" in page) is (name in shown)

    def test_of_many_takes_no_more_queries(
        self, browser, root, plant, django_assert_max_num_queries
    ):
        for _ in range(30):
            tokens.make(root, TokenKind.KIOSK, "t", groups=[plant])
        with django_assert_max_num_queries(12):
            browser.get(LIST)


class TestPermissions:
    def test_who_may_only_look_can_neither_make_nor_end_one(self, clerk, token):
        assert clerk.get(LIST).status_code == 403
        allow(clerk, "view_accesstoken")
        page = clerk.get(LIST).content.decode()
        assert "Hall 2" in page and "Revoke the selected" not in page
        assert clerk.get(ADD).status_code == 403
        TestRevoking().revoke(clerk, token, is_confirmed="yes")
        token.refresh_from_db()
        assert token.revoked_at is None

    def test_who_may_change_may_end(self, clerk, token):
        allow(clerk, "view_accesstoken", "change_accesstoken")
        TestRevoking().revoke(clerk, token, is_confirmed="yes")
        token.refresh_from_db()
        assert token.revoked_at is not None

    def test_a_user_with_tokens_can_be_deleted(self, browser, token):
        other = User.objects.create_user("other")
        tokens.make(other, TokenKind.SCRIPT, "export")
        path = f"/admin/auth/user/{other.pk}/delete/"
        assert browser.post(path, {"post": "yes"}).status_code == 302
        assert not AccessToken.objects.filter(name="export").exists()
