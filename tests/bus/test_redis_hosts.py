"""Switchboards over what REDIS_URL may say: several Redis, Sentinels, TLS, a user."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from hub_project.redis_hosts import redis_hosts
from telemetry.bus.topics import CONTROL_GROUP
from tests.processes import wait_until
from tests.redis_server import RedisServer, Sentinel

from .test_switchboard import switchboards, until, until_up

TOPICS = [f"plant-{number}" for number in range(12)]


def layer(url):
    return RedisPubSubChannelLayer(hosts=redis_hosts(url), prefix="telemetry-test")


class Closing:
    """A layer whose `flush` also ends its connections to the Sentinels.

    channels_redis leaves them to the end of the process.
    """

    def __init__(self, url):
        self._layer = layer(url)

    def __getattr__(self, name):
        return getattr(self._layer, name)

    async def flush(self):
        for shard in self._layer._get_layer()._shards:
            if shard._redis is not None:
                for each in shard._redis.connection_pool.sentinel_manager.sentinels:
                    await each.aclose()
        await self._layer.flush()


@pytest.fixture
def servers(tmp_path):
    """Makes servers that are killed at the end."""
    made = []

    def make(kind=RedisServer, *arguments):
        made.append(kind(tmp_path / f"redis-{len(made)}", *arguments))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


class Hearing:
    """What the board `b` hears when `a` publishes on all topics."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.heard = {}
        self.missed = set()

    async def start(self):
        self.b.listen_for_missed(self.missed.add)
        await until_up(self.a, self.b)
        for topic in TOPICS:
            await self.b.subscribe(topic, self._take)
        await until(lambda: self.a.wanted() == set(TOPICS))
        await self.flow(b"first")

    def _take(self, publication):
        self.heard[publication.topic] = publication.payload

    async def flow(self, payload, topics=TOPICS, seconds=30.0):
        """Wait until this is heard of each of `topics`; published again and again."""

        def is_heard():
            for topic in TOPICS:
                self.a.publish(topic, payload, 1, 1)
            return all(self.heard.get(topic) == payload for topic in topics)

        until_then = asyncio.get_running_loop().time() + seconds
        while not is_heard():
            assert asyncio.get_running_loop().time() < until_then, "it was not heard"
            await asyncio.sleep(0.05)


@pytest.mark.slow
class TestSeveral:
    async def test_groups_are_spread_and_one_that_is_away_takes_only_its_own(
        self, servers
    ):
        redis = [servers(), servers()]
        url = ",".join(each.url for each in redis)
        async with switchboards(layer(url), layer(url)) as (a, b):
            hearing = Hearing(a, b)
            await hearing.start()
            on = []
            for each in redis:
                with each.client() as client:
                    names = [name.decode() for name in client.pubsub_channels()]
                on.append({name.partition("__group__")[2] for name in names})
            other = 0 if CONTROL_GROUP in on[1] else 1
            gone = {topic for topic in TOPICS if f"hub.t.{topic}" in on[other]}
            assert gone and gone != set(TOPICS)
            redis[other].kill()
            await hearing.flow(b"without", set(TOPICS) - gone)
            hearing.missed.clear()
            redis[other].start()
            await hearing.flow(b"again")
            await until(lambda: gone <= hearing.missed)

    async def test_one_that_stands_still_takes_only_its_own(self, servers):
        redis = [servers(), servers()]
        url = ",".join(each.url for each in redis)
        async with switchboards(layer(url), layer(url)) as (a, b):
            hearing = Hearing(a, b)
            await hearing.start()
            with redis[1].client() as client:
                names = [name.decode() for name in client.pubsub_channels()]
            is_control = any(name.endswith(CONTROL_GROUP) for name in names)
            still = redis[0] if is_control else redis[1]
            with still.client() as client:
                names = [name.decode() for name in client.pubsub_channels()]
            gone = {topic for topic in TOPICS if any(n.endswith(topic) for n in names)}
            still.stand_still()
            try:
                await hearing.flow(b"without", set(TOPICS) - gone)
            finally:
                still.go_on()
            await hearing.flow(b"again")


@pytest.mark.slow
class TestSentinel:
    async def test_another_master_is_found_when_the_first_one_dies(self, servers):
        master = servers()
        replica = servers(RedisServer, "--replicaof", "127.0.0.1", str(master.port))
        sentinel = servers(Sentinel, master)
        wait_until(sentinel.has_replica, "the Sentinel knows the replica")
        layers = Closing(sentinel.url), Closing(sentinel.url)
        async with switchboards(*layers) as (a, b):
            hearing = Hearing(a, b)
            await hearing.start()
            master.kill()
            hearing.missed.clear()
            await hearing.flow(b"on the other", seconds=60)
            assert sentinel.master_port() == replica.port
            await until(lambda: hearing.missed)
            # The first one comes back as a replica, and is made the master again.
            master.start()
            await until(sentinel.has_replica, seconds=60)
            with sentinel.client() as client, contextlib.suppress(Exception):
                client.sentinel_failover(sentinel.NAME)
            await until(lambda: sentinel.master_port() == master.port, seconds=60)
            await hearing.flow(b"on the first", seconds=60)


async def test_user_who_may_do_no_more_than_the_hub_needs(servers):
    redis = servers()
    with redis.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "hub", "on", ">p@ss,word", "resetchannels"),
            *("&telemetry-*", "-@all", "+publish", "+subscribe", "+unsubscribe"),
            "+ping",
        )
    url = f"redis://hub:p%40ss%2Cword@127.0.0.1:{redis.port}/0"
    async with switchboards(layer(url), layer(url)) as (a, b):
        await Hearing(a, b).start()
