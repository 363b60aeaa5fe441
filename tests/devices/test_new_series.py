"""Series that devices ask for: made once, by whoever comes first, and told of."""

from __future__ import annotations

import asyncio

import pytest
from django.db import OperationalError, connection

from telemetry.devices import entry_rows, registry, series
from telemetry.devices.entries import Change, SeriesWanted
from telemetry.devices.models import DeviceGroup, Kind, Metric, Series
from telemetry.devices.registry import Registry
from telemetry.protocol.limits import Limits

from .conftest import do

pytestmark = pytest.mark.django_db(transaction=True)


class TestEnsureSeries:
    async def wish(self, hub, key, *wanted, heard=None):
        device = await hub.authenticate(key)
        await hub.ensure_series(device, wanted)
        return device

    async def test_makes_what_is_missing_and_tells(self, hub, key):
        heard: list[Change] = []
        hub.listen(heard.append)
        device = await self.wish(
            hub,
            key,
            SeriesWanted("temp", "number", "°C"),
            SeriesWanted("door", "boolean"),
        )
        assert device.series["temp"].unit == "°C"
        assert device.series["door"].kind == Kind.BOOLEAN
        assert heard == [Change(frozenset({device.id}), frozenset({"plant"}))]
        assert not (await hub.refresh()).devices

    async def test_nothing_to_do_asks_no_database(self, hub, key, monkeypatch):
        device = await self.wish(hub, key, SeriesWanted("temp", unit="°C"))
        with monkeypatch.context() as patch:
            patch.setattr(registry, "on_database_thread", None)
            await hub.ensure_series(device, [SeriesWanted("temp", unit="°F")])
            await hub.ensure_series(device, [SeriesWanted("not a name")])

    async def test_fills_only_what_is_empty(self, hub, key):
        await self.wish(hub, key, SeriesWanted("temp", unit="°C"))
        device = await self.wish(hub, key, SeriesWanted("temp", "text", "°F", "Boiler"))
        entry = device.series["temp"]
        assert (entry.unit, entry.label, entry.kind) == ("°C", "Boiler", "number")

    async def test_the_catalogue_fills_what_the_device_left_open(self, hub, key):
        await do(
            Metric.objects.create,
            name="temp",
            unit="°C",
            label="Temperature",
            decimals=1,
            kind=Kind.TEXT,
        )
        device = await self.wish(hub, key, SeriesWanted("temp", unit="°F"))
        entry = device.series["temp"]
        assert (entry.unit, entry.label) == ("°F", "Temperature")
        assert (entry.decimals, entry.kind) == (1, Kind.TEXT)

    async def test_words_that_no_column_holds_are_cut(self, hub, key):
        wanted = SeriesWanted("temp", unit="\x00" + "°" * 99, label="L" * 500)
        entry = (await self.wish(hub, key, wanted)).series["temp"]
        assert (entry.unit, len(entry.label)) == ("°" * 32, 120)

    async def test_a_group_may_forbid_new_series(self, hub, key, plant):
        await do(DeviceGroup.objects.update, auto_create=False)
        device = await self.wish(hub, key, SeriesWanted("temp"))
        assert not device.series
        await do(DeviceGroup.objects.update, auto_create=True)
        await hub.refresh()
        assert "temp" in (await self.wish(hub, key, SeriesWanted("temp"))).series

    async def test_one_group_that_allows_is_enough(self, hub, key, boiler):
        def join():
            DeviceGroup.objects.update(auto_create=False)
            boiler.groups.add(DeviceGroup.objects.create(slug="lab", name="Lab"))

        await do(join)
        assert (await self.wish(hub, key, SeriesWanted("temp"))).series

    async def test_a_million_names_stop_at_the_limit(self, hub, key):
        device = await hub.authenticate(key)
        for start in range(0, 20_000, 1_000):
            await hub.ensure_series(
                device, [SeriesWanted(f"m{start + n}") for n in range(1_000)]
            )
        assert len(device.series) == 120
        assert await do(Series.objects.count) == 120
        await hub.ensure_series(device, [SeriesWanted("m0", unit="V")])
        assert device.series["m0"].unit == "V"

    async def test_many_at_once_make_each_one_once(self, hub, key, boiler):
        other = Registry(Limits())
        devices = [await hub.authenticate(key), await other.authenticate(key)]
        wanted = [SeriesWanted(f"m{n}") for n in range(40)]
        await asyncio.gather(
            *(
                each.ensure_series(device, wanted[n : n + 10])
                for n in range(0, 31, 3)
                for each, device in zip((hub, other), devices, strict=True)
            )
        )
        await hub.refresh()
        await other.refresh()
        made = await do(entry_rows.series_of, [boiler.id])
        assert devices[0].series == devices[1].series == made[boiler.id]
        assert len(made[boiler.id]) == 40

    async def test_two_threads_of_two_processes_make_it_once(self, boiler):
        wanted = [SeriesWanted(f"m{n}") for n in range(20)]
        results = await asyncio.gather(
            *(
                asyncio.to_thread(_in_a_process, boiler.id, wanted[n:] + wanted[:n])
                for n in range(4)
            )
        )
        assert all(result == results[0] for result in results)
        assert await do(Series.objects.count) == 20

    async def test_the_name_of_a_deleted_series_may_be_made_anew(self, hub, key):
        device = await self.wish(hub, key, SeriesWanted("temp", unit="°C"))
        old = device.series["temp"].id
        await do(lambda: Series.objects.get().delete())
        await hub.refresh()
        assert not device.series
        await hub.ensure_series(device, [SeriesWanted("temp", unit="K")])
        assert device.series["temp"].id != old
        assert device.series["temp"].unit == "K"

    async def test_edits_in_the_admin_reach_the_entry(self, hub, key):
        device = await self.wish(hub, key, SeriesWanted("temp"))
        await do(Series.objects.update, unit="K", decimals=2)
        assert (await hub.refresh()).devices == {device.id}
        assert (device.series["temp"].unit, device.series["temp"].decimals) == ("K", 2)

    async def test_a_database_that_is_away_costs_no_allowance(
        self, hub, key, monkeypatch
    ):
        device = await hub.authenticate(key)

        def away(*args):
            raise OperationalError("the database is away")

        real = series._make
        monkeypatch.setattr(series, "_make", away)
        wanted = [SeriesWanted(f"m{n}") for n in range(120)]
        for _ in range(3):
            with pytest.raises(OperationalError):
                await hub.ensure_series(device, wanted)
        monkeypatch.setattr(series, "_make", real)
        await hub.ensure_series(device, wanted)
        assert len(device.series) == 120


def _in_a_process(device_id, wanted):
    try:
        return series.make_series(series.Wish(device_id, tuple(wanted)))
    finally:
        connection.close()
