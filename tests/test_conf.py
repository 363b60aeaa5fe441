"""telemetry.conf: where values come from, and what a wrong one says."""

from __future__ import annotations

import dataclasses

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from telemetry import checks, conf
from telemetry.protocol.limits import Limits


class TestValue:
    def test_default_is_the_tables(self):
        assert conf.value("DEVICE_RATE") == 1_000

    def test_environment_wins_over_the_default(self, monkeypatch):
        monkeypatch.setenv("TELEMETRY_DEVICE_RATE", "20")
        assert conf.value("DEVICE_RATE") == 20

    def test_django_setting_wins_over_the_environment(self, monkeypatch, settings):
        monkeypatch.setenv("TELEMETRY_DEVICE_RATE", "20")
        settings.TELEMETRY_DEVICE_RATE = 30
        assert conf.value("DEVICE_RATE") == 30

    def test_empty_variable_counts_as_unset(self, monkeypatch):
        monkeypatch.setenv("TELEMETRY_DEVICE_RATE", "")
        assert conf.value("DEVICE_RATE") == 1_000

    def test_whole_number_stays_whole_and_a_fraction_a_fraction(self, settings):
        settings.TELEMETRY_HEARTBEAT_SECONDS = 7
        assert isinstance(conf.value("HEARTBEAT_SECONDS"), float)
        assert isinstance(conf.value("WINDOW"), int)

    def test_burst_follows_the_rate_until_it_is_set(self, settings):
        settings.TELEMETRY_DEVICE_RATE = 7
        assert conf.value("DEVICE_BURST") == 70
        settings.TELEMETRY_DEVICE_BURST = 9
        assert conf.value("DEVICE_BURST") == 9

    def test_unknown_name_is_a_programming_error(self):
        with pytest.raises(KeyError):
            conf.value("DEVICE_RATES")


class TestWrongValue:
    @pytest.mark.parametrize(
        "came", ["many", "1.5", "-1", "nan", "1e3", "99999999999", True, 1.5, None, []]
    )
    def test_sentence_names_variable_expected_and_got(self, came):
        setting = conf.BY_NAME["DEVICE_RATE"]
        with pytest.raises(ImproperlyConfigured) as caught:
            conf.parse(setting, came)
        assert str(caught.value) == (
            "TELEMETRY_DEVICE_RATE: expected a whole number from 0 to 10,000,000 "
            f"(readings/s), got {str(came)!r}."
        )

    @pytest.mark.parametrize("came", ["nan", "inf", "1e400", "0", "1000"])
    def test_number_has_to_be_finite_and_in_range(self, came):
        with pytest.raises(ImproperlyConfigured, match="expected a number from"):
            conf.parse(conf.BY_NAME["HEARTBEAT_SECONDS"], came)

    def test_long_value_is_cut(self):
        with pytest.raises(ImproperlyConfigured) as caught:
            conf.parse(conf.BY_NAME["WINDOW"], "x" * 100_000)
        assert len(str(caught.value)) < 300

    def test_unknown_name_suggests_the_nearest(self):
        with pytest.raises(ImproperlyConfigured, match="mean TELEMETRY_DEVICE_RATE?"):
            conf.check_environment({"TELEMETRY_DEVICE_RATES": "5"})

    def test_name_like_no_other_points_to_the_page(self):
        with pytest.raises(ImproperlyConfigured, match="docs/reference/settings.md"):
            conf.check_environment({"TELEMETRY_QQQQ": "5"})

    @given(st.sampled_from(conf.SETTINGS), st.text(max_size=30))
    def test_any_text_is_a_value_in_range_or_the_sentence(self, setting, came):
        try:
            value = conf.parse(setting, came)
        except ImproperlyConfigured as error:
            assert str(error).startswith(f"{setting.variable}: expected ")
        else:
            assert setting.minimum <= value <= setting.maximum
            assert type(value) is setting.type


class TestTable:
    @pytest.mark.parametrize("setting", conf.SETTINGS, ids=lambda each: each.name)
    def test_default_is_allowed(self, setting):
        assert conf.parse(setting, setting.default) == setting.default

    @pytest.mark.parametrize("setting", conf.SETTINGS, ids=lambda each: each.name)
    def test_line_explains_itself(self, setting):
        assert setting.help.endswith(".") and setting.reason.endswith(".")

    def test_every_limit_of_the_protocol_is_a_setting(self):
        names = {field.name.upper() for field in dataclasses.fields(Limits)}
        assert names <= set(conf.BY_NAME)

    def test_names_are_unique(self):
        assert len(conf.BY_NAME) == len(conf.SETTINGS)


class TestLimits:
    def test_defaults_are_the_wire_contracts(self):
        assert conf.limits() == Limits()

    def test_settings_are_applied(self, settings):
        settings.TELEMETRY_WINDOW = 3
        settings.TELEMETRY_HEARTBEAT_SECONDS = 2.5
        assert conf.limits().window == 3
        assert conf.limits().silence_seconds == 6.25


class TestChecks:
    def test_good_settings_pass(self):
        assert checks.check_settings(None) == []

    def test_wrong_value_is_e001_with_a_hint(self, settings):
        settings.TELEMETRY_WINDOW = 0
        (found,) = checks.check_settings(None)
        assert found.id == "telemetry.E001"
        assert "TELEMETRY_WINDOW: expected" in found.msg
        assert "Default: 8" in (found.hint or "")

    def test_unknown_setting_is_e002(self, settings):
        settings.TELEMETRY_WINDOWS = 3
        (found,) = checks.check_settings(None)
        assert found.id == "telemetry.E002"
        assert "did you mean TELEMETRY_WINDOW?" in found.msg

    def test_database_in_memory_is_e003(self, monkeypatch):
        database = connections["default"].settings_dict
        monkeypatch.setitem(database, "NAME", "file:memorydb_default?mode=memory")
        (found,) = checks.check_database(None)
        assert found.id == "telemetry.E003"

    def test_missing_chart_library_is_w001(self, settings, tmp_path):
        settings.STATICFILES_DIRS = [("vendor/uplot", tmp_path)]
        (found,) = checks.check_chart_library(None)
        assert found.id == "telemetry.W001"
        (tmp_path / "uPlot.iife.min.js").touch()
        assert checks.check_chart_library(None) == []
