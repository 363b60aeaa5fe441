"""telemetry.devices.tokens: made, found and ended; what each of them may see."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telemetry.devices import kiosk_cookie, tokens
from telemetry.devices.access import (
    NOTHING,
    token_topics,
    visible_devices,
    visible_groups,
)
from telemetry.devices.access_token import AccessToken, TokenKind
from telemetry.devices.models import DeviceGroup, GroupAccess
from telemetry.protocol import names

pytestmark = pytest.mark.django_db

KIOSK, SCRIPT = TokenKind.KIOSK, TokenKind.SCRIPT


@pytest.fixture
def other(make_device) -> DeviceGroup:
    group = DeviceGroup.objects.create(slug="other", name="Other")
    make_device("fan-1", group)
    return group


def found(secret: str, kind: TokenKind = SCRIPT) -> AccessToken | None:
    return tokens.find_one(tokens.claim_of(secret, kind))


class TestMaking:
    def test_the_secret_is_in_the_answer_alone(self, people, plant):
        token, secret = tokens.make(people.bob, KIOSK, "Hall 2", groups=[plant])
        match = names.TOKEN.match(secret)
        assert match is not None and match[1] == token.prefix
        row = AccessToken.objects.filter(pk=token.pk).values().get()
        assert secret not in str(row)
        assert len(bytes(row["sha256"])) == 32
        assert list(token.groups.all()) == [plant]
        assert str(token) == "Hall 2"
        assert token.shown_prefix == f"hubt_{token.prefix}_…"

    def test_no_two_are_alike(self, people):
        made = [tokens.make(people.bob, SCRIPT, "same")[1] for _ in range(20)]
        assert len(set(made)) == 20

    def test_a_token_is_no_key_and_a_key_no_token(self, people, key):
        secret = tokens.make(people.bob, SCRIPT, "export")[1]
        assert names.KEY.match(secret) is None
        assert tokens.claim_of(key, SCRIPT) is None


class TestFinding:
    def test_a_token_is_found_by_its_secret(self, people):
        token, secret = tokens.make(people.bob, SCRIPT, "export")
        assert found(secret) == token

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
            lambda secret: secret + "A",
            lambda secret: secret[:-1],
            lambda secret: secret.replace("hubt_", "hub_"),
            lambda secret: secret.upper(),
            lambda secret: " " + secret,
            lambda secret: secret + "\n",
            lambda secret: "hubt_" + "A" * 8 + secret[13:],
            lambda secret: "",
            lambda secret: "ü" * 200,
            lambda secret: "\0",
        ],
    )
    def test_anything_else_is_not(self, people, spoil):
        secret = tokens.make(people.bob, SCRIPT, "export")[1]
        assert found(spoil(secret)) is None

    def test_a_link_is_no_scripts_token_nor_the_other_way(self, people, plant):
        link = tokens.make(people.bob, KIOSK, "Hall", groups=[plant])[1]
        script = tokens.make(people.bob, SCRIPT, "export")[1]
        assert found(link, SCRIPT) is None
        assert found(script, KIOSK) is None

    def test_a_revoked_one_is_gone_for_good(self, people):
        token, secret = tokens.make(people.bob, SCRIPT, "export")
        assert tokens.revoke(token)
        revoked_at = token.revoked_at
        assert found(secret) is None
        assert not tokens.revoke(token)
        token.refresh_from_db()
        assert token.revoked_at == revoked_at

    def test_an_expired_one_is_gone(self, people):
        soon = timezone.now() + timedelta(minutes=1)
        token, secret = tokens.make(people.bob, SCRIPT, "export", expires_at=soon)
        assert found(secret) == token
        AccessToken.objects.update(expires_at=timezone.now())
        assert found(secret) is None

    def test_that_of_an_inactive_user_rests(self, people):
        token, secret = tokens.make(people.inactive, SCRIPT, "export")
        assert found(secret) is None
        User.objects.update(is_active=True)
        assert found(secret) == token

    def test_that_of_a_deleted_user_is_gone(self, people):
        secret = tokens.make(people.bob, SCRIPT, "export")[1]
        people.bob.delete()
        assert found(secret) is None

    def test_many_take_as_many_queries_as_one(
        self, people, django_assert_max_num_queries
    ):
        secrets = [tokens.make(people.bob, SCRIPT, "export")[1] for _ in range(50)]
        claims = [tokens.claim_of(secret, SCRIPT) for secret in secrets]
        with django_assert_max_num_queries(2):
            assert len(tokens.find([each for each in claims if each])) == 50


class TestTheCookie:
    def test_stands_for_the_link(self, people, plant):
        token, _ = tokens.make(people.bob, KIOSK, "Hall", groups=[plant])
        cookie = kiosk_cookie.write(token)
        assert tokens.find_one(kiosk_cookie.read(cookie)) == token
        tokens.revoke(token)
        assert tokens.find_one(kiosk_cookie.read(cookie)) is None

    def test_of_a_script_opens_nothing(self, people):
        token, _ = tokens.make(people.bob, SCRIPT, "export")
        assert tokens.find_one(kiosk_cookie.read(kiosk_cookie.write(token))) is None

    @pytest.mark.parametrize("cookie", ["", "x", "abcdefgh:forged", ":", "ü", "a:b:c"])
    def test_that_nobody_signed_claims_nothing(self, cookie):
        assert kiosk_cookie.read(cookie) is None


class TestLastUse:
    def test_is_noted_once_a_minute(self, people):
        token, secret = tokens.make(people.bob, SCRIPT, "export")
        before = token.changed_at
        found(secret)
        token.refresh_from_db()
        first = token.last_used_at
        assert first is not None
        # Nobody has to read it again for that.
        assert token.changed_at == before
        found(secret)
        token.refresh_from_db()
        assert token.last_used_at == first
        AccessToken.objects.update(last_used_at=first - tokens.USED_EVERY)
        found(secret)
        token.refresh_from_db()
        assert token.last_used_at is not None and token.last_used_at >= first

    def test_of_a_token_that_does_not_hold_is_not(self, people):
        token, secret = tokens.make(people.bob, SCRIPT, "export")
        tokens.revoke(token)
        found(secret)
        token.refresh_from_db()
        assert token.last_used_at is None

    def test_that_cannot_be_noted_keeps_nobody_out(self, people, monkeypatch, caplog):
        token, secret = tokens.make(people.bob, SCRIPT, "export")

        def full(*args, **kwargs):
            raise DatabaseError("database or disk is full")

        monkeypatch.setattr(
            "telemetry.devices.models.changed.ChangedQuerySet.update", full
        )
        assert found(secret) == token
        assert "was not noted" in caplog.text


# who, kind, groups of the token; groups and devices that it sees
TABLE = [
    ("bob", SCRIPT, [], {"plant"}, {"boiler-7"}),
    ("bob", SCRIPT, ["plant"], {"plant"}, {"boiler-7"}),
    ("bob", SCRIPT, ["other"], set(), set()),
    ("bob", KIOSK, ["plant", "other"], {"plant"}, {"boiler-7"}),
    ("bob", KIOSK, [], set(), set()),
    ("staff", SCRIPT, [], {"plant", "other"}, {"boiler-7", "fan-1", "loner"}),
    ("staff", SCRIPT, ["other"], {"other"}, {"fan-1"}),
    ("staff", KIOSK, ["plant"], {"plant"}, {"boiler-7"}),
    ("staff", KIOSK, [], set(), set()),
    ("charlie", SCRIPT, [], set(), set()),
    ("charlie", KIOSK, ["plant"], set(), set()),
    ("inactive", SCRIPT, [], set(), set()),
    ("inactive", KIOSK, ["plant"], set(), set()),
]


@pytest.mark.parametrize(("who", "kind", "within", "groups", "devices"), TABLE)
class TestRights:
    @pytest.fixture
    def token(self, people, boiler, other, make_device, who, kind, within):
        make_device("loner")
        chosen = DeviceGroup.objects.filter(slug__in=within)
        return tokens.make(getattr(people, who), kind, "t", groups=chosen)[0]

    def test_are_its_users_within_its_groups(self, token, groups, devices):
        assert {group.slug for group in visible_groups(token)} == groups
        assert {device.slug for device in visible_devices(token)} == devices

    def test_are_the_same_for_sockets(self, token, groups, devices):
        topics = token_topics([token])[token.pk]
        for slug in ("plant", "other"):
            assert topics.has_group(slug) is (slug in groups)
        assert topics.has_device(frozenset({"plant"})) is ("boiler-7" in devices)
        assert topics.has_device(frozenset({"other"})) is ("fan-1" in devices)
        assert topics.has_device(frozenset()) is ("loner" in devices)

    def test_end_with_the_token(self, token, groups, devices):
        tokens.revoke(token)
        assert not visible_groups(token).exists()
        assert not visible_devices(token).exists()
        assert token_topics([token])[token.pk] == NOTHING


class TestGroupsThatGo:
    def test_end_the_token_that_was_for_them_alone(self, people, plant, other):
        both = tokens.make(people.staff, SCRIPT, "both", groups=[plant, other])[0]
        one = tokens.make(people.staff, SCRIPT, "one", groups=[plant])[0]
        every = tokens.make(people.staff, SCRIPT, "all")[0]
        plant.delete()
        rows = dict(AccessToken.objects.values_list("pk", "revoked_at"))
        assert rows[one.pk] is not None
        assert rows[both.pk] is None and rows[every.pk] is None
        DeviceGroup.objects.all().delete()
        both.refresh_from_db()
        assert both.revoked_at is not None
        # Nobody sees more than before because a group went.
        assert not visible_groups(both).exists()

    def test_leave_one_that_ended_before_as_it_was(self, people, plant):
        token = tokens.make(people.staff, SCRIPT, "one", groups=[plant])[0]
        tokens.revoke(token)
        revoked_at = token.revoked_at
        plant.delete()
        token.refresh_from_db()
        assert token.revoked_at == revoked_at


def test_a_right_that_is_taken_from_the_user_is_taken_from_the_token(people, plant):
    token = tokens.make(people.bob, SCRIPT, "export", groups=[plant])[0]
    assert visible_groups(token).exists()
    GroupAccess.objects.filter(user=people.bob).delete()
    assert not visible_groups(token).exists()


def test_the_topics_of_many_tokens_take_five_queries(people, plant, connection_queries):
    made = [tokens.make(people.bob, KIOSK, "t", groups=[plant])[0] for _ in range(30)]
    with connection_queries as queries:
        topics = token_topics(made)
    assert len(queries) <= 5
    assert all(topics[token.pk].groups == {"plant"} for token in made)


@pytest.fixture
def connection_queries() -> CaptureQueriesContext:
    from django.db import connection  # The test database's.

    return CaptureQueriesContext(connection)


class TestCreatetoken:
    def create(self, *args: str) -> None:
        call_command("createtoken", *args)

    def test_of_a_script_prints_the_secret_alone(self, people, plant, capsys):
        self.create("export", "--user", "bob", "--kind", "script", "--days", "7")
        out, err = capsys.readouterr()
        token = found(out.removesuffix("\n"))
        assert token is not None
        assert (token.name, token.user, token.kind) == ("export", people.bob, "script")
        assert token.expires_at is not None
        left = token.expires_at - timezone.now()
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
        assert token.shown_prefix in err and "not shown again" in err

    def test_of_a_kiosk_prints_its_link(self, people, plant, other, capsys, settings):
        self.create(
            *("Hall", "--user", "staff", "--kind", "kiosk"),
            *("--group", "plant", "--group", "other", "--group", "plant"),
        )
        out = capsys.readouterr().out.strip()
        token = found(out.removeprefix(f"{settings.HUB_URL}/k/"), KIOSK)
        assert token is not None
        assert set(token.groups.all()) == {plant, other}
        assert token.expires_at is None

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("t", "--user", "nobody", "--kind", "script"), "active user"),
            (("t", "--user", "inactive", "--kind", "script"), "active user"),
            (("t", "--user", "bob", "--kind", "kiosk"), "Expected --group"),
            (
                ("t", "--user", "bob", "--kind", "kiosk", "--group", "other"),
                "bob may see, got 'other'",
            ),
            (("", "--user", "bob", "--kind", "script"), "Expected a name"),
            (("x" * 121, "--user", "bob", "--kind", "script"), "Expected a name"),
            (("a\nb", "--user", "bob", "--kind", "script"), "Expected a name"),
            (("t", "--user", "bob", "--kind", "script", "--days", "0"), "1 to 3650"),
            (
                ("t", "--user", "bob", "--kind", "script", "--days", "3651"),
                "1 to 3650",
            ),
            (("t", "--user", "bob", "--kind", "other"), "invalid choice"),
        ],
    )
    def test_says_what_it_expected(self, people, other, args, said):
        with pytest.raises(CommandError, match=said):
            self.create(*args)
        assert not AccessToken.objects.exists()

    def test_takes_the_longest_name_and_the_most_days(self, people):
        self.create("x" * 120, "--user", "bob", "--kind", "script", "--days", "3650")
        assert AccessToken.objects.get().name == "x" * 120
