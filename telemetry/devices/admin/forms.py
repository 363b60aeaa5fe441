"""The admin's forms: what a database constraint would say too late."""

from __future__ import annotations

import zoneinfo
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf
from .. import credentials
from ..models import Credential, Device, DeviceGroup, Preferences, Series
from ..slugs import group_slug_for, slug_for


def time_zones() -> list[tuple[str, str]]:
    """What a select offers; the empty one first."""
    known = sorted(zoneinfo.available_timezones())
    return [("", "—"), *((name, name.replace("_", " ")) for name in known)]


def languages() -> list[tuple[str, str]]:
    return [("", "—"), *((code, str(name)) for code, name in settings.LANGUAGES)]


class SlugFromNameForm(forms.ModelForm):  # type: ignore[type-arg]
    """An empty slug is made from the name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Absent where somebody may only view.
        if "slug" in self.fields:
            self.fields["slug"].required = False
            self.fields["slug"].help_text = _(
                "The name in addresses. Empty: made from the name."
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("name") and cleaned.get("slug") == "":
            cleaned["slug"] = self.instance.slug or self.make_slug(cleaned["name"])
        return cleaned

    def make_slug(self, name: str) -> str:
        raise NotImplementedError


class DeviceForm(SlugFromNameForm):
    """A device, its groups with it."""

    time_zone = forms.ChoiceField(
        choices=time_zones, required=False, label=gettext_lazy("Time zone")
    )

    class Meta:
        model = Device
        fields: ClassVar[list[str]] = [
            *("name", "slug", "groups", "is_enabled", "is_paused"),
            *("expected_period_seconds", "serial", "tags", "notes"),
            *("time_zone", "latitude", "longitude"),
        ]

    def make_slug(self, name: str) -> str:
        return slug_for(name)

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        # The constraint's condition is on a field that no form has, so Django
        # leaves it to the database.
        others = Device.objects.alive().filter(slug=slug).exclude(pk=self.instance.pk)
        if slug and others.exists():
            raise ValidationError(_("There is a device with this slug."))
        return slug


class DeviceGroupForm(SlugFromNameForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        helps = {
            "raw_days": _(
                "Counted from now; unset: %(days)s days. A device in several groups "
                "keeps its readings for the longest of them."
            )
            % {"days": f"{conf.value('RAW_DAYS'):,}"},
            "tier_days": _(
                "What readings become after that; counted from now as well, so at "
                "least as many days. Unset: %(days)s days."
            )
            % {"days": f"{conf.value('TIER_DAYS'):,}"},
        }
        for name, text in helps.items():
            if name in self.fields:
                self.fields[name].help_text = text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        given = [cleaned.get("raw_days"), cleaned.get("tier_days")]
        # What is no number of days is told alone: by the field, or by the model.
        if self.errors.keys() & {"raw_days", "tier_days"} or 0 in given:
            return cleaned
        raw = given[0] or int(conf.value("RAW_DAYS"))
        tier = given[1] or int(conf.value("TIER_DAYS"))
        if any(given) and tier < raw:
            self.add_error(
                "tier_days" if given[1] else "raw_days",
                ValidationError(
                    _(
                        "Expected summaries to be kept at least as long as raw "
                        "readings, got %(raw)s days raw and %(tier)s days of summaries."
                    ),
                    params={"raw": f"{raw:,}", "tier": f"{tier:,}"},
                ),
            )
        return cleaned

    class Meta:
        model = DeviceGroup
        fields: ClassVar[list[str]] = [
            *("name", "slug", "raw_days", "tier_days", "auto_create"),
        ]

    def make_slug(self, name: str) -> str:
        return group_slug_for(name)


class SeriesForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Series
        fields: ClassVar[list[str]] = [
            *("device", "name", "kind", "unit", "label", "decimals"),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        device, name = cleaned.get("device"), cleaned.get("name")
        if device and name:
            same = Series.objects.alive().filter(device=device, name=name)
            if same.exclude(pk=self.instance.pk).exists():
                raise ValidationError(
                    _("“%(device)s” has a series “%(name)s” already."),
                    params={"device": device, "name": name},
                )
        return cleaned


class RevokeForm(forms.ModelForm):  # type: ignore[type-arg]
    """One key of a device: it can be revoked, and nothing else."""

    revoke = forms.BooleanField(required=False, label=gettext_lazy("Revoke"))

    class Meta:
        model = Credential
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.revoked_at is not None and "revoke" in self.fields:
            self.fields["revoke"].disabled = True

    def save(self, commit: bool = True) -> Credential:
        credential: Credential = self.instance
        if self.cleaned_data.get("revoke"):
            credentials.revoke(credential)
        return credential


class NewKeyForm(forms.Form):
    """When a new key ends."""

    expires_at = forms.SplitDateTimeField(
        required=False,
        label=gettext_lazy("Expires"),
        help_text=gettext_lazy("Empty: never."),
        widget=forms.SplitDateTimeWidget(
            date_attrs={"type": "date"}, time_attrs={"type": "time"}
        ),
    )

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise ValidationError(_("Expected a moment to come, got one that is over."))
        return expires_at


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(
        choices=time_zones,
        required=False,
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("Unset: UTC."),
    )
    language = forms.ChoiceField(
        choices=languages, required=False, label=gettext_lazy("Language")
    )

    class Meta:
        model = Preferences
        fields: ClassVar[list[str]] = ["time_zone", "language", "theme"]
