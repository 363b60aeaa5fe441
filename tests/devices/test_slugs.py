from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.devices.models import Device, DeviceGroup
from telemetry.devices.slugs import group_slug_for, slug_for, slug_of, slugs_for
from telemetry.protocol import names

pytestmark = pytest.mark.django_db


class TestSlugOf:
    @pytest.mark.parametrize(
        ("name", "slug"),
        [
            ("Boiler 7", "boiler-7"),
            ("  --Cold__Room #1!  ", "cold-room-1"),
            ("Kühlraum Straße 3", "kuhlraum-strasse-3"),
            ("Łódź Ærø", "lodz-aero"),
            ("Ａｂｃ", "abc"),
            ("İstanbul", "istanbul"),
            ("锅炉 7", ""),
            ("42", ""),
            ("°C", "c"),
            ("", ""),
            ("💧", ""),
            ("x" * 200, "x" * 64),
        ],
    )
    def test_table(self, name, slug):
        assert slug_of(name) == slug

    @given(st.text())
    def test_it_is_empty_or_a_slug(self, name):
        assert not slug_of(name) or names.SLUG.fullmatch(slug_of(name))


class TestSlugFor:
    def test_a_name_without_latin_letters_gets_a_number(self):
        assert slugs_for(["锅炉", "7", "насос"]) == ["device-1", "device-2", "device-3"]

    def test_taken_slugs_get_the_first_free_number(self, make_device):
        make_device("pump")
        make_device("pump-2")
        assert slug_for("Pump") == "pump-3"

    def test_equal_names_get_distinct_slugs(self):
        assert slugs_for(["Pump"] * 3) == ["pump", "pump-2", "pump-3"]

    def test_the_slug_of_a_deleted_device_is_free_again(self, make_device):
        make_device("pump").delete()
        assert slug_for("Pump") == "pump"

    def test_long_names_keep_room_for_their_number(self, make_device):
        slugs = slugs_for(["x" * 64] * 12)
        assert len(set(slugs)) == 12
        assert all(names.SLUG.fullmatch(slug) for slug in slugs)
        make_device(slugs[0])
        assert slug_for("x" * 64) == "x" * 62 + "-2"

    def test_many_at_once_take_one_query(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            slugs = slugs_for([f"Pump {n % 50}" for n in range(2_000)])
        assert len(set(slugs)) == 2_000

    def test_groups_have_slugs_of_their_own(self, make_device):
        make_device("hall")
        DeviceGroup.objects.create(slug="hall-2", name="x")
        assert group_slug_for("Hall") == "hall"
        assert group_slug_for("锅炉房") == "group-1"
        assert Device.objects.count() == 1
