"""The admin's form of a device group: how long its readings are kept."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from telemetry.devices.admin.forms import DeviceGroupForm

pytestmark = pytest.mark.django_db


def form(raw: str = "", tier: str = "") -> DeviceGroupForm:
    return DeviceGroupForm(
        {"name": "Plant", "slug": "", "raw_days": raw, "tier_days": tier}
    )


@pytest.mark.parametrize(
    ("raw", "tier"),
    [("", ""), ("10", "10"), ("10", "11"), ("1826", ""), ("", "30"), ("90", "1826")],
)
def test_summaries_kept_as_long_as_raw_readings_are_taken(raw, tier):
    assert form(raw, tier).is_valid(), form(raw, tier).errors


@pytest.mark.parametrize(
    ("raw", "tier", "field"),
    [
        ("60", "10", "tier_days"),
        ("11", "10", "tier_days"),
        ("", "29", "tier_days"),
        ("1827", "", "raw_days"),
    ],
)
def test_summaries_for_fewer_days_than_raw_readings_are_refused(raw, tier, field):
    wrong = form(raw, tier)
    assert list(wrong.errors) == [field]
    assert "at least as long as raw" in str(wrong.errors)


def test_no_number_is_told_alone():
    assert list(form("0", "10").errors) == ["raw_days"]


@override_settings(TELEMETRY_RAW_DAYS=7, TELEMETRY_TIER_DAYS=2000)
def test_the_page_says_what_holds_by_default_and_for_several_groups():
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    html = client.get("/admin/telemetry/devicegroup/add/").content.decode()
    assert "unset: 7 days" in html
    assert "Unset: 2,000 days" in html
    assert "the longest of them" in html


@override_settings(TELEMETRY_RAW_DAYS=50, TELEMETRY_TIER_DAYS=40)
def test_the_defaults_alone_are_nothing_that_a_group_can_mend():
    assert form().is_valid()
