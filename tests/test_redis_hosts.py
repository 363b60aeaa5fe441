from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub_project import env
from hub_project.redis_hosts import CONNECTION, WrongRedisUrl, redis_hosts


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("redis://cache:6379/1", ["redis://cache:6379/1"]),
        ("redis://cache", ["redis://cache"]),
        ("unix:///run/redis.sock?db=2", ["unix:///run/redis.sock?db=2"]),
        (
            "rediss://hub:pass%2Cword@a:6380/0?ssl_ca_certs=/etc/ssl/ca.pem",
            ["rediss://hub:pass%2Cword@a:6380/0?ssl_ca_certs=/etc/ssl/ca.pem"],
        ),
        ("redis://a , redis://b,redis://[::1]:7", ["redis://a", "redis://b", ...]),
    ],
)
def test_addresses_are_hosts_in_their_order(url, addresses):
    hosts = redis_hosts(url)
    assert len(hosts) == len(addresses)
    for host, address in zip(hosts, addresses, strict=True):
        assert host == {**CONNECTION, "address": host["address"]}
        assert address in (..., host["address"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "sentinel://a:1,b,[::1]:3/hub",
            {"sentinels": [("a", 1), ("b", 26379), ("::1", 3)], "master_name": "hub"},
        ),
        (
            "sentinel://me:p%40ss@a/hub",
            {"master_name": "hub", "username": "me", "password": "p@ss"},
        ),
        ("sentinel://:p@a/hub", {"sentinels": [("a", 26379)], "password": "p"}),
    ],
)
def test_sentinels_are_one_host(url, expected):
    (host,) = redis_hosts(url)
    assert expected.items() <= host.items()
    assert CONNECTION.items() <= host.items()
    assert "password" not in host["sentinel_kwargs"]


def test_sentinels_may_have_a_password_of_their_own():
    url = "sentinel://a/hub?sentinel_username=me&sentinel_password=s%26t"
    (host,) = redis_hosts(url)
    assert host["sentinel_kwargs"]["username"] == "me"
    assert host["sentinel_kwargs"]["password"] == "s&t"
    assert "password" not in host


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("http://:secret@cache", "'http'"),
        ("secret", "something else"),
        ("secret@cache:6379", "something else"),
        ("redis://", "redis:// without a place"),
        ("redis://:secret@", "redis:// without a place"),
        ("unix://", "unix:// without a place"),
        ("redis://:secret@cache:port", "a port that is no number below 65536"),
        ("redis://:secret@cache:65536", "a port that is no number below 65536"),
        ("redis://:secret@cache/zero", "a database that is no number"),
        ("redis://:secret@cache?colour=red", "options that Redis does not know"),
        ("redis://cache?socket_timeout=x", "options that Redis does not know"),
        ("redis://a,", "address 2 of 2: something else"),
        ("redis://a,http://:secret@b", "address 2 of 2: 'http'"),
        ("redis://:secret@a,redis://:secret@a", "address 2 of 2: the same"),
        ("redis://a,sentinel://b/hub", "address 2 of 2: 'sentinel'"),
        ("sentinel://a:1,b:2", "without the name of one master"),
        ("sentinel://:secret@a/hub/0", "without the name of one master"),
        ("sentinel://a,/hub", "a place that is empty"),
        ("sentinel://:secret@a:x/hub", "a port that is no number"),
        ("sentinel://a/hub?password=secret", "an unknown option 'password'"),
    ],
)
def test_wrong_url_is_told_in_one_sentence_without_its_password(url, got):
    with pytest.raises(WrongRedisUrl):
        redis_hosts(url)
    with pytest.raises(ImproperlyConfigured) as caught:
        env.read_redis_url({"REDIS_URL": url})
    told = str(caught.value)
    assert told.startswith("REDIS_URL: expected redis://HOST:PORT/0, ")
    assert got in told and "secret" not in told
    assert "\n" not in told


def test_no_url_is_one_process():
    assert env.read_redis_url({}) == ""
