"""The form that a screen's link is made with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from ...devices.models import DeviceGroup
from ...devices.tokens import MOST_DAYS

# A screen has to be read before it moves on, and loads a page each time.
LEAST_ROTATE_SECONDS, MOST_ROTATE_SECONDS = 5, 86_400


class KioskForm(forms.Form):
    """Name, end, and what it shows besides the group that it is made for."""

    name = forms.CharField(
        max_length=120,
        label=_("Name"),
        help_text=_("Where the screen hangs, so that you find the link again."),
    )
    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_DAYS,
        initial=365,
        label=_("Days"),
        help_text=_("After so many days the link ends. Empty: never."),
    )
    groups = forms.ModelMultipleChoiceField(
        queryset=DeviceGroup.objects.none(),
        required=False,
        label=_("Also show"),
        help_text=_("The screen then shows one group after the other."),
    )
    rotate = forms.IntegerField(
        required=False,
        min_value=LEAST_ROTATE_SECONDS,
        max_value=MOST_ROTATE_SECONDS,
        initial=30,
        label=_("Seconds for each group"),
        help_text=_("With several groups. Empty: the first group stays."),
    )

    def __init__(
        self, *args: Any, others: QuerySet[DeviceGroup], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["groups"]
        assert isinstance(field, forms.ModelMultipleChoiceField)  # noqa: S101
        field.queryset = others
        if not others.exists():
            del self.fields["groups"], self.fields["rotate"]

    def expires_at(self, now: datetime) -> datetime | None:
        """When the link ends, counted from now."""
        days: int | None = self.cleaned_data["days"]
        return None if days is None else now + timedelta(days=days)
