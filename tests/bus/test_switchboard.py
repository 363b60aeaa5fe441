"""Switchboards that really exchange: in memory, and over a Redis that dies."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from telemetry.bus import outgoing
from telemetry.bus import switchboard as module
from telemetry.bus.switchboard import Switchboard
from tests.processes import free_port, is_open, missing, wait_until


def redis_layer(url):
    host = {
        "address": url,
        "socket_timeout": None,
        "socket_connect_timeout": 5,
        "health_check_interval": 15,
    }
    return RedisPubSubChannelLayer(hosts=[host], prefix="telemetry-test")


@contextlib.asynccontextmanager
async def switchboards(*layers):
    boards = [
        Switchboard(layer, origin=f"process-{n}") for n, layer in enumerate(layers)
    ]
    for board in boards:
        await board.start()
    try:
        yield boards
    finally:
        for board in boards:
            await board.stop()
        for layer in layers:
            with contextlib.suppress(OSError):
                await layer.flush()


async def until(is_true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


@pytest.fixture(params=["memory", "redis"])
def layers(request):
    """Two processes' layers: one object in memory, two connections with Redis."""
    if request.param == "memory":
        layer = InMemoryChannelLayer()
        return layer, layer
    url = request.getfixturevalue("redis_url")
    return redis_layer(url), redis_layer(url)


class TestPublish:
    async def test_other_process_hears_what_it_wants_in_order(self, layers):
        heard = []
        async with switchboards(*layers) as (a, b):
            assert await until_up(a, b) is None
            assert await b.subscribe("plant-a", heard.append)
            await until(lambda: "plant-a" in a.wanted())
            for number in range(1, 51):
                a.publish("plant-a", b"%d" % number, writer=3, number=number)
            await until(lambda: len(heard) == 50)
        assert [each.n for each in heard] == list(range(1, 51))
        assert [each.payload for each in heard] == [b"%d" % n for n in range(1, 51)]
        assert {(e.origin, e.topic, e.writer) for e in heard} == {
            ("process-0", "plant-a", 3)
        }
        assert heard[-1].number == 50

    async def test_nothing_is_sent_that_nobody_wants(self, layers):
        async with switchboards(*layers) as (a, b):
            await until_up(a, b)
            await b.subscribe("plant-a", lambda _: None)
            await until(lambda: "plant-a" in a.wanted())
            a.publish("plant-b", b"x")
            assert not a._publishing._outgoing
            b.unsubscribe("plant-a", b._listening._callbacks["plant-a"][0])
            await until(lambda: not a.wanted())

    async def test_process_never_hears_itself(self, layers):
        mine, others = [], []
        async with switchboards(*layers) as (a, b):
            await until_up(a, b)
            await a.subscribe("plant-a", mine.append)
            await b.subscribe("plant-a", others.append)
            await until(lambda: "plant-a" in a.wanted() and "plant-a" in b.wanted())
            a.publish("plant-a", b"from a")
            b.publish("plant-a", b"from b")
            await until(lambda: mine and others)
        assert [each.payload for each in mine] == [b"from b"]
        assert [each.payload for each in others] == [b"from a"]

    async def test_one_callback_that_fails_does_not_stop_the_others(
        self, layers, caplog
    ):
        heard = []

        def fail(publication):
            raise RuntimeError("broken")

        async with switchboards(*layers) as (a, b):
            await until_up(a, b)
            await b.subscribe("plant-a", fail)
            await b.subscribe("plant-a", heard.append)
            await until(lambda: "plant-a" in a.wanted())
            a.publish("plant-a", b"1")
            a.publish("plant-a", b"2")
            await until(lambda: len(heard) == 2)
        assert "could not be taken" in caplog.text

    async def test_messages_of_strangers_are_left_alone(self, layers, caplog):
        heard = []
        async with switchboards(*layers) as (a, b):
            await until_up(a, b)
            await b.subscribe("plant-a", heard.append)
            await until(lambda: "plant-a" in a.wanted())
            await layers[0].group_send("hub.t.plant-a", {"type": "x", "content": b"?"})
            a.publish("plant-a", b"1")
            await until(lambda: len(heard) == 1)
        assert "something else" in caplog.text

    async def test_process_that_comes_later_learns_what_is_wanted(self, layers):
        async with switchboards(layers[0]) as (a,):
            await until(lambda: a.is_up)
            await a.subscribe("plant-a", lambda _: None)
            async with switchboards(layers[1]) as (late,):
                late.origin = "late"
                await until(lambda: "plant-a" in late.wanted(), seconds=4.0)
                assert late.has_others()


class TestCommands:
    async def test_process_hears_what_it_is_told_and_no_other_does(self, layers):
        a_heard, b_heard = [], []
        async with switchboards(*layers) as (a, b):
            a.listen_for_commands(7, lambda *told: a_heard.append(told))
            b.listen_for_commands(8, lambda *told: b_heard.append(told))
            await until_up(a, b)

            def is_heard():
                b.tell(7, "superseded", 41)
                a.tell(8, "superseded", 42)
                return a_heard and b_heard

            # Joining takes a moment, and nothing is repeated.
            await until(is_heard)
        assert set(a_heard) == {("superseded", 41)}
        assert set(b_heard) == {("superseded", 42)}

    async def test_nobody_there_raises_nothing(self, layers):
        async with switchboards(*layers) as (a, _):
            a.tell(9, "superseded", 41)
            await until_up(a)
            a.tell(9, "superseded", 41)

    async def test_callback_that_fails_does_not_stop_the_next_command(
        self, layers, caplog
    ):
        heard = []

        def fail_first(kind, device_id):
            heard.append(device_id)
            if len(heard) == 1:
                raise RuntimeError("broken")

        async with switchboards(*layers) as (a, b):
            a.listen_for_commands(7, fail_first)
            await until_up(a, b)

            def is_heard():
                b.tell(7, "superseded", 41)
                return len(heard) > 1

            await until(is_heard)
        assert "could not be taken" in caplog.text


async def until_up(*boards):
    await until(
        lambda: all(board.is_up and board._membership.has_channel for board in boards)
    )


class BrokenLayer:
    """A layer that raises whatever it is asked."""

    async def _fail(self, *args):
        raise ConnectionError("no layer here")

    new_channel = receive = group_add = group_discard = group_send = flush = _fail


async def test_layer_that_is_away_raises_nothing_and_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    async with switchboards(BrokenLayer()) as (board,):
        assert not await board.subscribe("plant-a", lambda _: None)
        board._publishing._interests.announce("another", ["plant-a"], now=1e12)
        for _ in range(outgoing.QUEUED_PUBLICATIONS + 10):
            board.publish("plant-a", b"x")
        assert len(board._publishing._outgoing) == outgoing.QUEUED_PUBLICATIONS
        board.unsubscribe("plant-a", board._listening._callbacks["plant-a"][0])
        await asyncio.sleep(0.1)
        assert not board.is_up


async def test_layer_that_went_deaf_is_joined_anew(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(module, "ANNOUNCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "DEAF_SECONDS", 0.2)
    layer, heard = InMemoryChannelLayer(), []
    async with switchboards(layer, layer) as (a, b):
        await until_up(a, b)
        await b.subscribe("plant-a", heard.append)
        await until(lambda: "plant-a" in a.wanted())
        # As when memberships expire, or a layer loses them in a restart.
        layer.groups.clear()

        def is_heard():
            a.publish("plant-a", b"again")
            return bool(heard)

        await until(is_heard)


class TestRedisRestart:
    @pytest.fixture
    def redis(self, tmp_path):
        program = shutil.which("redis-server")
        if program is None:
            missing("redis-server")
        port, processes = free_port(), []

        def start():
            arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
            processes.append(
                subprocess.Popen(
                    [str(program), *arguments, "--dir", str(tmp_path)],
                    stdout=subprocess.DEVNULL,
                )
            )
            wait_until(lambda: is_open(port), "redis-server listens")

        def kill():
            processes[-1].send_signal(signal.SIGKILL)
            processes[-1].wait()

        start()
        yield port, start, kill
        kill()

    async def test_messages_flow_again_and_nothing_raises(self, redis, caplog):
        port, start, kill = redis
        url = f"redis://127.0.0.1:{port}/0"
        heard = []
        async with switchboards(redis_layer(url), redis_layer(url)) as (a, b):
            await until_up(a, b)
            await b.subscribe("plant-a", heard.append)
            await until(lambda: "plant-a" in a.wanted())
            a.publish("plant-a", b"before")
            await until(lambda: bool(heard))
            kill()

            def is_down():
                a.publish("plant-a", b"lost")
                return not a.is_up

            await until(is_down)
            start()

            def is_heard():
                a.publish("plant-a", b"after")
                return heard[-1].payload == b"after"

            await until(is_heard, seconds=40)
            # The hole is seen by number.
            numbers = [each.n for each in heard]
            assert numbers == sorted(numbers)
            assert numbers[-1] > len(numbers)


PUBLISHER = textwrap.dedent("""
    import asyncio, sys
    from channels_redis.pubsub import RedisPubSubChannelLayer
    from telemetry.bus.switchboard import Switchboard

    async def main():
        layer = RedisPubSubChannelLayer(hosts=[sys.argv[1]], prefix="telemetry-test")
        board = Switchboard(layer)
        await board.start()
        while "plant-a" not in board.wanted():
            await asyncio.sleep(0.01)
        for number in range(1, 101):
            board.publish("plant-a", b"%d" % number, number=number)
        while True:
            await asyncio.sleep(1)

    asyncio.run(main())
""")


async def test_another_process_is_heard_over_redis(redis_url):
    heard = []
    async with switchboards(redis_layer(redis_url)) as (board,):
        await until_up(board)
        await board.subscribe("plant-a", heard.append)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PUBLISHER,
            redis_url,
            env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "."},
        )
        try:
            await until(lambda: len(heard) == 100, seconds=40)
        finally:
            process.kill()
            await process.wait()
    assert [each.number for each in heard] == list(range(1, 101))
