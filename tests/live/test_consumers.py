"""The browsers' protocol over real sockets, with real sessions."""

from __future__ import annotations

import asyncio
import json

import pytest
from django.contrib.auth.models import User

from telemetry.devices import entry_rows
from telemetry.devices.models import Device, DeviceGroup, Series

from .conftest import T0, do, make_person, watching
from .model import Store

pytestmark = pytest.mark.django_db(transaction=True)
MS = T0 // 1000


class TestHandshake:
    async def test_signed_in_page_is_welcomed(self, live, staff):
        page = await live.page(staff)
        assert page.socket.subprotocol == "hub.live.v1"
        welcome = await page.hello()
        assert welcome["user"] == "staff"
        assert welcome["epoch"] == live.hub.feed.epoch
        assert welcome["limits"]["groups"] == 64
        assert abs(welcome["time"] - T0 / 1000) > 0

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "null",
            None,
            "http://127.0.0.1",
            "http://127.0.0.1:1",
            "https://127.0.0.1:{port}",
            "HTTP://127.0.0.1:{port}",
            "http://127.0.0.1:{port}/",
            "http://127.0.0.1.:{port}",
            "http://localhost:{port}",
            "",
        ],
    )
    async def test_only_the_exact_origin_opens_a_socket(self, live, staff, origin):
        if origin is not None:
            origin = origin.format(port=live.port)
        page = await live.page(staff, origin=origin)
        code, bye = await page.closed()
        assert code == 4403
        assert bye is not None and bye["code"] == 4403

    async def test_two_origins_are_none(self, live, staff):
        cookie = staff
        page = await live.page(cookie)
        await page.hello()
        two = await live.page(f"{cookie}", origin=f"{live.origin}, {live.origin}")
        assert (await two.closed())[0] == 4403

    async def test_page_without_a_session_is_unauthorized(self, live, plant):
        page = await live.page(None)
        assert (await page.closed())[0] == 4401

    async def test_session_that_is_made_up_is_unauthorized(self, live, plant, settings):
        page = await live.page(f"{settings.SESSION_COOKIE_NAME}=made-up")
        assert (await page.closed())[0] == 4401

    async def test_inactive_user_is_unauthorized(self, live, staff):
        await do(User.objects.update, is_active=False)
        page = await live.page(staff)
        assert (await page.closed())[0] == 4401

    async def test_session_of_an_old_password_is_unauthorized(self, live, staff):
        def change():
            user = User.objects.get(username="staff")
            user.set_password("another")
            user.save()

        await do(change)
        page = await live.page(staff)
        assert (await page.closed())[0] == 4401

    async def test_unknown_subprotocol_is_refused_with_4406(self, live, staff):
        page = await live.page(staff, subprotocols=("hub.live.v9",))
        assert (await page.closed())[0] == 4406

    async def test_tool_without_a_subprotocol_is_served(self, live, staff):
        page = await live.page(staff, subprotocols=None)
        assert (await page.hello())["type"] == "welcome"

    async def test_wrong_token_is_unauthorized(self, live, plant):
        for token in ("secret", "", "hubt_AAAAAAAA_" + "A" * 43):
            script = await live.page(None, origin=None)
            await script.send(type="hello", token=token)
            assert (await script.closed())[0] == 4401

    async def test_silent_script_is_sent_away(self, live, plant, settings):
        settings.TELEMETRY_CREDENTIAL_SECONDS = 1
        script = await live.page(None, origin=None)
        assert (await script.closed())[0] == 4408

    @pytest.mark.parametrize("interval_ms", [0, 101, 99, -1, "100", 1e9, None, True])
    async def test_other_intervals_are_refused(self, live, staff, interval_ms):
        page = await live.page(staff)
        await page.send(type="hello", interval_ms=interval_ms)
        assert (await page.receive())["code"] == "bad_request"
        await page.hello(5000)


class TestSubscribe:
    async def test_snapshot_then_updates(self, live, staff, plant):
        live.hub.commit((plant.temp, 0, 21.5), (plant.door, 0, 1.0))
        live.hub.commit((plant.state, 1, "open"))
        page, subscribed = await watching(live, staff, "plant")
        assert subscribed == {
            "type": "subscribed",
            "id": 1,
            "groups": ["plant"],
            "refused": {},
        }
        snapshot = await page.receive()
        assert snapshot["type"] == "snapshot"
        assert snapshot["group"] == "plant"
        assert snapshot["more"] is False
        assert snapshot["series"] == [
            [plant.temp, "boiler-7", "temp", "°C", None],
            [plant.flow, "boiler-7", "flow", "l/s", None],
            [plant.door, "boiler-7", "door", "", None],
            [plant.state, "boiler-7", "state", "", None],
            [plant.pump_temp, "pump-1", "temp", "°C", None],
        ]
        assert snapshot["rows"] == [
            [plant.temp, MS, 21.5],
            [plant.door, MS, True],
            [plant.state, MS + 1, "open"],
        ]
        assert snapshot["devices"] == [
            ["boiler-7", "Boiler 7", False, None, None, False, None, True],
            ["pump-1", "Pump 1", False, None, None, False, None, True],
        ]
        live.hub.commit((plant.temp, 10, 22.0), (plant.door, 10, 0.0))
        live.hub.commit((plant.temp, 11, 30.0))
        live.hub.commit((plant.temp, 12, 23.0))
        update = await page.receive()
        assert update["rows"] == [
            [plant.temp, MS + 12, 23.0, 22.0, 30.0, 3],
            [plant.door, MS + 10, False],
        ]
        assert update["revision"] == snapshot["revision"] + 3
        assert update.keys() == {"type", "group", "revision", "time", "rows"}

    async def test_devices_that_nobody_has_are_looked_for_at_once(
        self, live, staff, monkeypatch
    ):
        asked: list[set[str]] = []
        read = entry_rows.read_devices_by_slug

        def counted(slugs):
            asked.append(set(slugs))
            return read(slugs)

        monkeypatch.setattr(entry_rows, "read_devices_by_slug", counted)
        names = [f"nobody-{n}" for n in range(40)]
        _, subscribed = await watching(live, staff, devices=names)
        assert set(subscribed["refused"].values()) == {"not_found"}
        # The registry may look again meanwhile; then the rest is asked for again.
        assert asked[0] == set(names)

    async def test_device_is_followed_like_a_group_of_one(self, live, staff, plant):
        page, subscribed = await watching(live, staff, devices=["pump-1", "nobody"])
        assert subscribed["groups"] == ["device:pump-1"]
        assert subscribed["refused"] == {"device:nobody": "not_found"}
        snapshot = await page.receive()
        assert snapshot["group"] == "device:pump-1"
        assert [row[0] for row in snapshot["series"]] == [plant.pump_temp]
        live.hub.commit((plant.temp, 5, 1.0), (plant.pump_temp, 5, 2.0))
        update = await page.receive()
        assert update["rows"] == [[plant.pump_temp, MS + 5, 2.0]]

    async def test_only_the_metrics_asked_for(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant", metrics=["flow"])
        snapshot = await page.receive()
        assert [row[2] for row in snapshot["series"]] == ["flow"]
        live.hub.commit((plant.temp, 5, 1.0))
        assert await page.is_silent()
        live.hub.commit((plant.flow, 6, 2.0))
        assert (await page.receive())["rows"] == [[plant.flow, MS + 6, 2.0]]

    async def test_second_subscription_of_a_group_replaces_the_first(
        self, live, staff, plant
    ):
        page, _ = await watching(live, staff, "plant")
        await page.receive("snapshot")
        await page.subscribe("plant", metrics=["temp"])
        snapshot = await page.receive("snapshot")
        assert {row[2] for row in snapshot["series"]} == {"temp"}
        live.hub.commit((plant.temp, 5, 1.0), (plant.flow, 5, 1.0))
        assert (await page.receive())["rows"] == [[plant.temp, MS + 5, 1.0]]
        assert await page.is_silent()

    async def test_unsubscribe_ends_it(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.receive("snapshot")
        await page.send(type="unsubscribe", groups=["plant", "never"])
        await page.send(type="ping", echo=7)
        assert (await page.receive("pong"))["echo"] == 7
        live.hub.commit((plant.temp, 5, 1.0))
        assert await page.is_silent()

    async def test_what_one_may_not_see_is_not_found(self, live, plant):
        _, cookie = await do(make_person, "bob", plant.other)
        page, subscribed = await watching(
            live, cookie, "plant", "nothing", "other", "Not a slug", devices=["pump-1"]
        )
        assert subscribed["groups"] == ["other"]
        assert subscribed["refused"] == {
            "plant": "not_found",
            "nothing": "not_found",
            "Not a slug": "not_found",
            "device:pump-1": "not_found",
        }

    async def test_viewer_of_the_group_sees_it_and_its_devices(self, live, plant):
        _, cookie = await do(make_person, "bob", plant.group)
        _, subscribed = await watching(live, cookie, "plant", devices=["pump-1"])
        assert subscribed["groups"] == ["plant", "device:pump-1"]

    async def test_groups_beyond_the_limit_are_too_many(self, live, staff, settings):
        settings.TELEMETRY_LIVE_TOPICS = 3

        def make():
            for number in range(5):
                DeviceGroup.objects.create(slug=f"g{number}", name="G")

        await do(make)
        page, subscribed = await watching(live, staff, "g0", "g1", "g2")
        assert subscribed["refused"] == {}
        subscribed = await page.subscribe("g2", "g3")
        assert subscribed["groups"] == ["g2"]
        assert subscribed["refused"] == {"g3": "too_many"}
        await page.send(type="unsubscribe", groups=["g0"])
        assert (await page.subscribe("g3"))["groups"] == ["g3"]

    async def test_metrics_up_to_the_limit(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant", metrics=["m"] * 32)
        await page.send(type="subscribe", id="x", groups=["plant"], metrics=["m"] * 33)
        error = await page.receive("error")
        assert (error["code"], error["ref"]) == ("bad_request", "x")
        assert "32" in error["message"] and "33" in error["message"]

    async def test_snapshot_pages_are_whole_and_count_as_one_frame(
        self, live, staff, plant, settings
    ):
        settings.TELEMETRY_LIVE_SNAPSHOT_ROWS = 10

        def make():
            for number in range(25):
                Series.objects.create(device=plant.pump, name=f"m{number}")

        await do(make)
        page = await live.page(staff)
        await page.hello()
        await page.send(type="subscribe", id=1, groups=["plant"])
        await page.receive("subscribed")
        for ms in range(5):
            live.hub.commit((plant.temp, ms, float(ms)))
        pages = [await page.receive() for _ in range(3)]
        assert [each["type"] for each in pages] == ["snapshot"] * 3
        assert [each["more"] for each in pages] == [True, True, False]
        assert [len(each["series"]) for each in pages] == [10, 10, 10]
        # One frame: another may follow un-acknowledged, not a third.
        live.hub.commit((plant.temp, 50, 1.0))
        await page.receive("update")
        live.hub.commit((plant.temp, 51, 1.0))
        assert await page.is_silent()


class TestResume:
    async def test_only_the_changes_when_it_is_still_covered(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        snapshot = await page.receive("snapshot")
        await page.socket.close()
        live.hub.commit((plant.temp, 5, 5.0))
        live.hub.commit((plant.temp, 6, 1.0))
        resume = {
            "epoch": live.hub.feed.epoch,
            "revisions": {"plant": snapshot["revision"]},
        }
        page, _ = await watching(live, staff, "plant", resume=resume)
        update = await page.receive()
        assert update["type"] == "update"
        assert update["rows"] == [[plant.temp, MS + 6, 1.0, 1.0, 5.0, 2]]

    @pytest.mark.parametrize("ahead", [1, 1000, -10_000])
    async def test_snapshot_for_a_revision_that_is_not_covered(
        self, live, staff, plant, ahead
    ):
        page, _ = await watching(live, staff, "plant")
        revision = (await page.receive("snapshot"))["revision"]
        resume = {
            "epoch": live.hub.feed.epoch,
            "revisions": {"plant": revision + ahead},
        }
        page, _ = await watching(live, staff, "plant", resume=resume)
        assert (await page.receive())["type"] == "snapshot"

    async def test_snapshot_for_another_epoch(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        revision = (await page.receive("snapshot"))["revision"]
        resume = {"epoch": "of another process", "revisions": {"plant": revision}}
        page, _ = await watching(live, staff, "plant", resume=resume)
        assert (await page.receive())["type"] == "snapshot"

    async def test_topic_that_was_dropped_meanwhile_is_not_mistaken(
        self, live, staff, plant
    ):
        page, _ = await watching(live, staff, "plant")
        await page.receive("snapshot")
        for ms in range(20):
            live.hub.commit((plant.temp, ms, 1.0))
        revision = (await page.receive("update"))["revision"]
        await page.socket.close()
        live.hub.feed._forget("plant")
        page, _ = await watching(live, staff, "plant")
        assert (await page.receive("snapshot"))["revision"] > revision


class TestChanges:
    async def test_new_series_comes_with_an_update(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))
        new = await do(Series.objects.create, device=plant.pump, name="rpm", unit="1/m")
        await live.hub.registry.refresh()
        update = await page.receive("update")
        assert update["series"] == [[new.pk, "pump-1", "rpm", "1/m", None]]
        live.hub.commit((new.pk, 3, 900.0))
        assert (await page.receive("update"))["rows"] == [[new.pk, MS + 3, 900.0]]

    @pytest.mark.parametrize("what", ["unit", "device name", "member", "series gone"])
    async def test_changed_members_names_and_units_reset(
        self, live, staff, plant, what
    ):
        live.hub.commit((plant.temp, 1, 4.0), (plant.pump_temp, 1, 5.0))
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))

        def change():
            if what == "unit":
                Series.objects.filter(pk=plant.temp).update(unit="K")
            elif what == "device name":
                Device.objects.filter(pk=plant.pump.pk).update(name="Renamed")
            elif what == "series gone":
                Series.objects.get(pk=plant.flow).delete()
            else:
                plant.pump.groups.clear()
                plant.pump.save()

        await do(change)
        await live.hub.registry.refresh()
        assert await page.receive() == {
            "type": "reset",
            "group": "plant",
            "reason": "changed",
        }
        snapshot = await page.receive()
        assert snapshot["type"] == "snapshot"
        assert [plant.temp, MS + 1, 4.0] in snapshot["rows"]
        assert ([plant.pump_temp, MS + 1, 5.0] in snapshot["rows"]) is (
            what != "member"
        )
        await page.ack(snapshot)
        live.hub.commit((plant.temp, 9, 6.0), (plant.pump_temp, 9, 7.0))
        update = await page.receive("update")
        assert [plant.temp, MS + 9, 6.0] in update["rows"]

    async def test_estimated_periods_come_when_they_are_known(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))
        for second in range(5):
            live.hub.commit((plant.temp, second * 1000, 1.0))
        devices, series = None, None
        while devices is None or series is None:
            update = await page.receive("update")
            await page.ack(update)
            devices = update.get("devices", devices)
            series = update.get("series", series)
        assert devices == [["boiler-7", "Boiler 7", False, None, None, False, 1, True]]
        assert series == [[plant.temp, "boiler-7", "temp", "°C", 1]]
        second, _ = await watching(live, staff, "plant")
        snapshot = await second.receive("snapshot")
        assert [row[4] for row in snapshot["series"]] == [1, None, None, None, None]
        assert [row[6:] for row in snapshot["devices"]] == [[1, True], [None, True]]

    async def test_expected_period_comes_instead_of_an_estimated_one(
        self, live, staff, plant
    ):
        await do(
            Device.objects.filter(pk=plant.boiler.pk).update,
            expected_period_seconds=2.5,
        )
        page, _ = await watching(live, staff, "plant")
        snapshot = await page.receive("snapshot")
        assert snapshot["devices"][0][6:] == [2.5, False]

    async def test_presence_comes_as_devices(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))
        live.hub.presence.connect(plant.boiler.pk, "10.0.0.1", T0)
        update = await page.receive("update")
        assert update["rows"] == []
        assert update["devices"] == [
            ["boiler-7", "Boiler 7", True, MS, MS, False, None, True]
        ]
        await page.ack(update)
        live.hub.presence.heard([plant.boiler.pk], T0 + 5_000_000)
        live.hub.presence.disconnect(plant.boiler.pk, 1006, T0 + 6_000_000)
        update = await page.receive("update")
        assert update["devices"] == [
            ["boiler-7", "Boiler 7", False, MS + 6000, MS + 5000, False, None, True]
        ]

    async def test_late_readings_are_told_as_a_range(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))
        live.hub.commit((plant.temp, 1000, 5.0))
        await page.ack(await page.receive("update"))
        live.hub.commit((plant.temp, 10, 7.0), (plant.temp, 20, 8.0), at=2000)
        update = await page.receive("update")
        assert update["rows"] == []
        assert update["late"] == [[plant.temp, MS + 10, MS + 20]]

    async def test_deleted_group_is_gone(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await page.receive("snapshot")
        await do(plant.group.delete)
        await live.hub.registry.refresh()
        assert await page.receive() == {
            "type": "reset",
            "group": "plant",
            "reason": "gone",
        }
        assert (await page.subscribe("plant"))["refused"] == {"plant": "not_found"}


class TestGarbage:
    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ("", "bad_request"),
            ("{", "bad_request"),
            ("[]", "bad_request"),
            ("null", "bad_request"),
            ("[" * 5000, "bad_request"),
            (b"\x80", "bad_request"),
            ('{"type":1}', "bad_request"),
            ('{"type":"data","values":{}}', "unsupported"),
            ('{"type":"nonsense"}', "unsupported"),
            ('{"type":"subscribe"}', "bad_request"),
            ('{"type":"subscribe","id":1,"groups":"plant"}', "bad_request"),
            ('{"type":"subscribe","id":1,"groups":[1]}', "bad_request"),
            ('{"type":"subscribe","id":{},"groups":[]}', "bad_request"),
            ('{"type":"ack","group":"plant","revision":1.5}', "bad_request"),
            ('{"type":"ack","group":"plant","revision":NaN}', "bad_request"),
            ('{"type":"ack","group":"plant","revision":true}', "bad_request"),
            ('{"type":"unsubscribe"}', "bad_request"),
            ('{"type":"hello"}', "conflict"),
            ('{"type":"ping","echo":"\\ud800"}', "bad_request"),
            ('{"type":"ping","echo":"' + "x" * 16_384 + '"}', "too_large"),
        ],
    )
    async def test_bad_message_gets_an_error_and_the_socket_survives(
        self, live, staff, plant, frame, code
    ):
        page, _ = await watching(live, staff, "plant")
        await page.ack(await page.receive("snapshot"))
        await page.socket.send(frame)
        error = await page.receive("error")
        assert error["code"] == code
        assert "expected" in error["message"].lower() or ":" in error["message"]
        assert len(error["message"]) < 500
        live.hub.commit((plant.temp, 1, 1.0))
        assert (await page.receive("update"))["rows"] == [[plant.temp, MS + 1, 1.0]]

    async def test_message_of_the_longest_size_is_read(self, live, staff):
        page = await live.page(staff)
        await page.hello()
        frame = json.dumps({"type": "ping", "echo": ""})
        longest = json.dumps({"type": "ping", "echo": "x" * (16_384 - len(frame))})
        assert len(longest) == 16_384
        await page.socket.send(longest)
        await page.receive("pong")

    async def test_subscribing_before_hello_is_refused(self, live, staff, plant):
        page = await live.page(staff)
        await page.send(type="subscribe", id=1, groups=["plant"])
        assert (await page.receive())["code"] == "bad_request"
        await page.hello()

    async def test_endless_garbage_is_ended_with_4400(self, live, staff):
        page = await live.page(staff)
        await page.hello()
        for _ in range(150):
            await page.socket.send("garbage")
        code, bye = await page.closed()
        assert code == 4400
        errors = [each for each in page.messages if each["type"] == "error"]
        assert len(errors) == 100


class TestHub:
    async def test_hub_that_stops_says_goodbye(self, live, staff, plant):
        page, _ = await watching(live, staff, "plant")
        await live.hub.feed.stop()
        code, bye = await page.closed()
        assert code == 4503
        assert bye is not None and bye["after_ms"] > 0

    async def test_many_pages_hold_what_a_fresh_snapshot_holds(
        self, live, staff, plant
    ):
        pages = [(await watching(live, staff, "plant"))[0] for _ in range(5)]
        stores = [Store() for _ in pages]

        async def follow(page, store):
            while True:
                message = await page.receive()
                store.take(message)
                if message["type"] in ("snapshot", "update"):
                    await page.ack(message)

        readers = [
            asyncio.ensure_future(follow(page, store))
            for page, store in zip(pages, stores, strict=True)
        ]
        ids = [plant.temp, plant.flow, plant.door, plant.pump_temp]
        for ms in range(100):
            live.hub.commit((ids[ms % 4], ms, float(ms % 2)))
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.5)
        fresh = Store()
        page, _ = await watching(live, staff, "plant")
        fresh.take(await page.receive("snapshot"))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert all(store.held() == fresh.held() for store in stores)
        assert len(fresh.rows) == 4
