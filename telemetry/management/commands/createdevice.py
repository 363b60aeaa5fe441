"""`manage.py createdevice NAME… --group G`: devices with a key each, for scripts."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from telemetry.devices import credentials
from telemetry.devices.models import Device, DeviceGroup
from telemetry.devices.slugs import group_slug_for, slugs_for
from telemetry.management import setup


class Command(BaseCommand):
    help = (
        "Create devices. Prints one line a device on stdout: slug, tab, key. "
        "A key is shown this once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="NAME")
        parser.add_argument(
            "--group",
            dest="groups",
            action="append",
            default=[],
            metavar="G",
            help="Slug or name of a device group, made if there is none; repeatable.",
        )

    @sensitive_variables("keys")
    def handle(self, *, names: list[str], groups: list[str], **options: Any) -> None:
        setup.check_is_migrated()
        with transaction.atomic():
            doubles = self._doubles(names)
            joined = [self._group(text) for text in groups]
            keys = [
                (slug, self._create(name, slug, joined))
                for name, slug in zip(names, slugs_for(names), strict=True)
            ]
        for slug, key in keys:
            self.stdout.write(f"{slug}\t{key}")
        for name, (slug, _key) in zip(names, keys, strict=True):
            if name in doubles:
                self.stderr.write(
                    _("Another device is called “%(name)s” too: this one is %(slug)s.")
                    % {"name": name, "slug": slug}
                )
        made = ngettext("Created %d device.", "Created %d devices.", len(keys))
        self.stderr.write(
            made % len(keys) + " " + _("Keep the keys: they are not shown again.")
        )

    @staticmethod
    def _doubles(names: list[str]) -> set[str]:
        """Those of the names that a device has already, or that come twice."""
        taken = Device.objects.alive().filter(name__in=names)
        return {
            *taken.values_list("name", flat=True),
            *(name for name in names if names.count(name) > 1),
        }

    def _create(self, name: str, slug: str, groups: list[DeviceGroup]) -> str:
        device = Device(name=name, slug=slug)
        self._check(device, name)
        device.save()
        device.groups.set(groups)
        return credentials.issue(device)[1]

    def _group(self, text: str) -> DeviceGroup:
        found = list(DeviceGroup.objects.filter(Q(slug=text) | Q(name=text)))
        # A slug names one group for sure; a name may name several.
        by_slug = [group for group in found if group.slug == text]
        if by_slug or len(found) == 1:
            return (by_slug or found)[0]
        if found:
            slugs = ", ".join(group.slug for group in found)
            raise CommandError(
                _("Expected one device group, got “%(name)s”, the name of: %(slugs)s.")
                % {"name": text, "slugs": slugs}
            )
        group = DeviceGroup(name=text, slug=group_slug_for(text))
        self._check(group, text)
        group.save()
        self.stderr.write(
            _("Created the device group “%(name)s” (%(slug)s).")
            % {"name": text, "slug": group.slug}
        )
        return group

    @staticmethod
    def _check(row: Device | DeviceGroup, name: str) -> None:
        if not name.strip() or not name.isprintable():
            raise CommandError(
                _("Expected a name of printable characters, got %(name)a.")
                % {"name": name[:120]}
            )
        try:
            row.full_clean()
        except ValidationError as error:
            raise CommandError(
                _("Cannot create “%(name)s”: %(reason)s")
                % {"name": name[:120], "reason": " ".join(error.messages)}
            ) from None
