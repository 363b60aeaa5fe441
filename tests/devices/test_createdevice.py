from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from telemetry.devices import credentials
from telemetry.devices.models import Credential, Device, DeviceGroup

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> tuple[list[list[str]], str]:
    """(slug, key) of each line of stdout, and what stderr said."""
    out, err = StringIO(), StringIO()
    call_command("createdevice", *arguments, stdout=out, stderr=err)
    return [line.split("\t") for line in out.getvalue().splitlines()], err.getvalue()


class TestCreateDevice:
    def test_prints_slug_and_key_of_each_and_talks_on_stderr(self):
        lines, talk = create("Boiler 7", "锅炉", "--group", "Plant A")
        assert [slug for slug, _ in lines] == ["boiler-7", "device-1"]
        for slug, key in lines:
            row = Credential.objects.get(prefix=credentials.prefix_of(key))
            assert row.device.slug == slug
            assert credentials.matches(key, bytes(row.sha256))
            assert key not in talk
        assert Device.objects.get(slug="device-1").name == "锅炉"
        assert [g.slug for g in row.device.groups.all()] == ["plant-a"]
        assert "Created 2 devices." in talk

    def test_equal_names_get_distinct_slugs(self):
        assert [slug for slug, _ in create("Pump", "Pump")[0]] == ["pump", "pump-2"]

    def test_a_name_that_is_taken_is_told_with_the_new_slug(self):
        _, talk = create("Boiler", "Fan")
        assert "too" not in talk
        lines, talk = create("Boiler", "Tank")
        assert [slug for slug, _ in lines] == ["boiler-2", "tank"]
        assert talk.splitlines()[0] == (
            "Another device is called “Boiler” too: this one is boiler-2."
        )
        assert "Tank" not in talk

    @pytest.mark.parametrize("text", ["plant", "Plant A"])
    def test_a_group_is_found_by_slug_or_name(self, plant, text):
        create("Fan", "--group", text)
        assert list(plant.devices.values_list("slug", flat=True)) == ["fan"]
        assert DeviceGroup.objects.count() == 1

    def test_several_groups(self, plant):
        create("Fan", "--group", "plant", "--group", "锅炉房")
        slugs = Device.objects.get().groups.values_list("slug", flat=True)
        assert sorted(slugs) == ["group-1", "plant"]

    def test_no_group_is_needed(self):
        create("Fan")
        assert not DeviceGroup.objects.exists()

    @pytest.mark.parametrize("name", ["", "  ", "a\tb", "a\nb", "x" * 121])
    def test_a_wrong_name_makes_nothing_and_is_told_in_a_sentence(self, name):
        with pytest.raises(CommandError) as caught:
            create("Fan", name, "--group", "New")
        assert "\n" not in str(caught.value)
        assert not Device.objects.exists()
        assert not DeviceGroup.objects.exists()
        assert not Credential.objects.exists()

    def test_a_name_of_several_groups_is_no_choice(self, plant):
        DeviceGroup.objects.create(slug="other", name="Plant A")
        with pytest.raises(CommandError, match="plant"):
            create("Fan", "--group", "Plant A")
