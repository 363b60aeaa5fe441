"""`manage.py createtoken NAME --user U --kind K`: an access token, for scripts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from telemetry.devices import tokens
from telemetry.devices.access import visible_groups
from telemetry.devices.access_token import AccessToken, TokenKind
from telemetry.devices.models import DeviceGroup
from telemetry.management import setup


class Command(BaseCommand):
    help = (
        "Create an access token. Prints it on stdout, for a kiosk as the link that "
        "opens the screen. It is shown this once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--user",
            dest="username",
            required=True,
            metavar="U",
            help="It never sees more than this user does.",
        )
        parser.add_argument("--kind", required=True, choices=TokenKind.values)
        parser.add_argument(
            "--group",
            dest="slugs",
            action="append",
            default=[],
            metavar="G",
            help="Slug of a group that it sees; repeatable. A kiosk needs one; a "
            "script without any sees all that its user sees.",
        )
        parser.add_argument(
            "--days",
            type=int,
            metavar="N",
            help=f"Its end, 1 to {tokens.MOST_DAYS} days from now. Without: never.",
        )

    @sensitive_variables("secret")
    def handle(
        self,
        *,
        name: str,
        username: str,
        kind: str,
        slugs: list[str],
        days: int | None,
        **options: Any,
    ) -> None:
        setup.check_is_migrated()
        _check_name(name)
        user = _user(username)
        groups = [_group(user, slug) for slug in dict.fromkeys(slugs)]
        if kind == TokenKind.KIOSK and not groups:
            raise CommandError(_("Expected --group: what a kiosk shows; got none."))
        if days is not None and not 1 <= days <= tokens.MOST_DAYS:
            raise CommandError(
                _("Expected --days from 1 to %(most)d, got %(days)d.")
                % {"most": tokens.MOST_DAYS, "days": days}
            )
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        token, secret = tokens.make(
            user, TokenKind(kind), name, groups=groups, expires_at=expires_at
        )
        if kind == TokenKind.KIOSK:
            secret = settings.HUB_URL + reverse("kiosk", args=[secret])
        self.stdout.write(secret)
        made = _("Created the access token “%(name)s” (%(prefix)s).")
        self.stderr.write(
            made % {"name": name, "prefix": token.shown_prefix}
            + " "
            + _("Keep it: it is not shown again.")
        )


def _check_name(name: str) -> None:
    longest = AccessToken._meta.get_field("name").max_length or 0
    if not name.strip() or not name.isprintable() or len(name) > longest:
        raise CommandError(
            _("Expected a name of 1 to %(most)d printable characters, got %(name)a.")
            % {"most": longest, "name": name[:longest]}
        )


def _user(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None or not user.is_active:
        raise CommandError(
            _("Expected the name of an active user, got %(name)a.")
            % {"name": username[:150]}
        )
    return user


def _group(user: User, slug: str) -> DeviceGroup:
    group = visible_groups(user).filter(slug=slug).first()
    if group is None:
        raise CommandError(
            _("Expected the slug of a group that %(user)s may see, got %(slug)a.")
            % {"user": user, "slug": slug[:64]}
        )
    return group
