"""`POST /api/v1/import` and downloads on a running hub, with devices' keys."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import itertools
import json
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import HubProcess, manage, wait_until

VARIABLES = {
    "TELEMETRY_IMPORT_BYTES": "3000000",
    "TELEMETRY_IMPORTS": "2",
    "TELEMETRY_API_STREAMS": "1",
    "TELEMETRY_AUTH_FAILURES_PER_MINUTE": "1000",
    "TELEMETRY_RELOAD_SECONDS": "0.1",
    "TELEMETRY_DEVICE_RATE": "10",
    "TELEMETRY_DEVICE_BURST": "10",
}
HEADER = "metric,kind,unit,time,value\n"
COMMANDS = {"uvicorn": ("serve",), "daphne": ("runserver", "--noreload")}


@dataclass
class Answer:
    status: int
    headers: Any
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    def is_error(self, status: int, code: str, *words: str) -> bool:
        assert (self.status, self.body["code"]) == (status, code), self.content
        missing = [word for word in words if word not in self.body["message"]]
        assert missing == [], self.body["message"]
        assert ("Retry-After" in self.headers) == self.body["retryable"]
        return True


@dataclass
class Hub:
    process: HubProcess
    unused: Iterator[tuple[str, str]]

    def new(self) -> tuple[str, str]:
        """Slug and key of a device that no other test uses."""
        return next(self.unused)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)

    def ask(
        self, method: str, path: str, key: str | None, body: Any = None, **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): each for name, each in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        connection = self.connect()
        try:
            connection.request(
                method, path, body, sent, encode_chunked=not isinstance(body, bytes)
            )
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def post(
        self, key: str | None, content: str | bytes | Any, **headers: str
    ) -> Answer:
        body = content.encode() if isinstance(content, str) else content
        headers = {"Content_Type": "text/csv", **headers}
        return self.ask("POST", "/api/v1/import", key, body, **headers)

    def rows(self, key: str, **query: str) -> list[list[str]]:
        """What the device reads of itself as CSV: metric, kind, unit, time, value."""
        asked = "&".join(f"{name}={each}" for name, each in query.items())
        path = f"/api/v1/readings?from=2020-01-01T00:00:00Z&to=now%2B1d&{asked}"
        answer = self.ask("GET", path, key, Accept="text/csv")
        assert answer.status == 200, answer.content
        lines = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
        return [line[1:] for line in lines[1:]]


@pytest.fixture(scope="module", params=list(COMMANDS))
def hub(request, tmp_path_factory) -> Iterator[Hub]:
    data_dir = tmp_path_factory.mktemp(f"imports-{request.param}") / "var"
    names = [f"unit {number}" for number in range(40)]
    for arguments in (["migrate"], ["createdevice", *names, "--group", "all"]):
        done = manage(data_dir, *arguments)
        assert done.returncode == 0, done.stderr
    known = [line.split("\t") for line in done.stdout.splitlines()]
    process = HubProcess(data_dir, *COMMANDS[request.param], variables=VARIABLES)
    process.start()
    yield Hub(process, itertools.cycle((slug, key) for slug, key in known))
    process.end()


def lines(count: int, metric: str = "n", start: int = 0) -> str:
    return "".join(
        f"{metric},number,K,2026-11-22T10:{at // 60 % 60:02}:{at % 60:02}.{at:06}Z,"
        f"{at}\n"
        for at in range(start, start + count)
    )


def test_readings_are_on_disk_when_the_answer_comes(hub: Hub):
    slug, key = hub.new()
    content = HEADER + lines(3) + "b,boolean,,2026-11-22T10:00:00Z,true\n"
    content += 't,text,,2026-11-22T10:00:00Z,"a,\nb"\n'
    answer = hub.post(key, content)
    assert answer.status == 200
    assert answer.body == {"accepted": 5, "rejected": [], "rejected_count": 0}
    assert answer.headers["Cache-Control"] == "no-store"
    stored = hub.rows(key)
    assert stored == [
        ["b", "boolean", "", "2026-11-22T10:00:00.000000Z", "true"],
        ["n", "number", "K", "2026-11-22T10:00:00.000000Z", "0.0"],
        ["n", "number", "K", "2026-11-22T10:00:01.000001Z", "1.0"],
        ["n", "number", "K", "2026-11-22T10:00:02.000002Z", "2.0"],
        ["t", "text", "", "2026-11-22T10:00:00.000000Z", "a,\nb"],
    ]
    answer = hub.post(key, content)
    assert answer.status == 200
    assert answer.body["accepted"] == 5
    assert hub.rows(key) == stored


def test_gzip_and_many_lines_beyond_the_devices_rate(hub: Hub):
    _slug, key = hub.new()
    content = gzip.compress((HEADER + lines(12_000)).encode())
    content += gzip.compress(lines(13_000, start=12_000).encode())
    answer = hub.post(key, content, Content_Encoding="gzip")
    assert answer.status == 200
    assert answer.body["accepted"] == 25_000
    assert len(hub.rows(key)) == 25_000


def test_parquet_out_and_in(hub: Hub):
    slug, key = hub.new()
    hub.post(key, HEADER + lines(100))
    stored = hub.rows(key)
    path = "/api/v1/readings?from=2020-01-01T00:00:00Z&format=parquet"
    file = hub.ask("GET", path, key)
    assert file.status == 200
    other, other_key = hub.new()
    kind = {"Content_Type": "application/vnd.apache.parquet"}
    answer = hub.post(other_key, file.content, **kind)
    assert answer.body["rejected_count"] == 100
    assert answer.body["rejected"][0] == {
        "line": 1,
        "reason": "bad_request",
        "message": f"expected the device {other}, got “{slug}”",
    }
    assert hub.post(key, file.content, **kind).body["accepted"] == 100
    assert hub.rows(key) == stored
    answer = hub.post(key, file.content[:-10], **kind)
    assert answer.is_error(400, "bad_request", "Parquet")
    answer = hub.post(key, b"", **kind)
    assert answer.is_error(400, "bad_request", "Parquet")


def test_bad_lines_are_named_and_the_good_ones_stay(hub: Hub):
    _slug, key = hub.new()
    bad = "n,number,,2026-11-22T10:00:00Z,warm\n2nd,number,,2026-11-22T10:00:00Z,1\n"
    answer = hub.post(key, HEADER + lines(1) + bad)
    assert answer.status == 200
    assert answer.body["accepted"] == 1
    assert answer.body["rejected_count"] == 2
    assert sorted((e["line"], e["reason"]) for e in answer.body["rejected"]) == [
        (3, "bad_type"),
        (4, "unknown_metric"),
    ]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "word"),
    [
        ("time,value\n", {}, 400, "bad_request", "metric"),
        ("", {}, 400, "bad_request", "header"),
        (HEADER, {"Content_Type": "application/json"}, 415, "unsupported", "text/csv"),
        (HEADER, {"Content_Encoding": "br"}, 415, "unsupported", "gzip"),
        (b"no gzip", {"Content_Encoding": "gzip"}, 400, "bad_request", "gzip"),
        (
            gzip.compress(HEADER.encode(), mtime=0)[:-5],
            {"Content_Encoding": "gzip"},
            *(400, "bad_request", "gzip"),
        ),
        (
            gzip.compress(HEADER.encode() + b"\n" * 3_000_000, mtime=0),
            {"Content_Encoding": "gzip"},
            *(413, "too_large", "3000000 bytes"),
        ),
        (HEADER + "\n" * 3_000_000, {}, 413, "too_large", "3000000 bytes"),
    ],
)
def test_what_is_wrong_with_a_file(hub: Hub, content, headers, status, code, word):
    _slug, key = hub.new()
    assert hub.post(key, content, **headers).is_error(status, code, word)


def test_a_body_at_the_limit_is_taken(hub: Hub):
    _slug, key = hub.new()
    content = HEADER + lines(1)
    content += "\n" * (3_000_000 - len(content.encode()))
    assert hub.post(key, content).body["accepted"] == 1


def test_a_long_body_without_a_right_key_is_not_read(hub: Hub):
    wrong = "hub_" + "x" * 8 + "_" + "x" * 43
    for key in (None, "nonsense", wrong):
        answer = hub.post(key, HEADER)
        assert answer.is_error(401, "unauthorized", "xpected")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    if "runserver" in hub.process.command:
        return  # Daphne begins a request only when its body is there.
    with socket.create_connection(("127.0.0.1", hub.process.port), 30) as raw:
        head = (
            "POST /api/v1/import HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {wrong}\r\nContent-Length: 2900000\r\n\r\n"
        )
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 401")


def test_other_methods(hub: Hub):
    _slug, key = hub.new()
    answer = hub.ask("GET", "/api/v1/import", key)
    assert answer.is_error(405, "bad_request", "expected POST, got GET")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["readings", "series/1/readings"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_addresses_that_only_read_say_so(hub: Hub, path, method):
    answer = hub.ask(method, f"/api/v1/{path}", hub.new()[1], b"")
    assert answer.is_error(405, "bad_request", f"expected GET, got {method}")
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_address_is_told_in_json(hub: Hub, method):
    answer = hub.ask(method, "/api/v1/series", hub.new()[1], b"")
    assert answer.is_error(404, "not_found", "expected an address of the API", "series")


def test_what_another_process_has_just_thinned_out_is_not_taken_again(hub: Hub):
    slug, key = hub.new()
    content = HEADER + lines(3, "thinned")
    assert hub.post(key, content).body["accepted"] == 3
    moment = 1_795_341_602_000_000  # 2026-11-22T10:00:02Z
    hub.process.manage(
        "shell",
        "-c",
        "from telemetry.history.models import *; "
        "from telemetry.devices.models import *; "
        f"s = Series.objects.get(device__slug={slug!r}, name='thinned'); "
        "row = dict(time_us=0, effective_us=0, received_us=0); "
        "SeriesHead.objects.get_or_create(series_id=s.id, defaults=row); "
        f"SeriesHead.objects.filter(series_id=s.id).update(raw_from_us={moment})",
    )
    body = hub.post(key, content).body
    assert (body["accepted"], body["rejected_count"]) == (1, 2)
    assert [(each["line"], each["reason"]) for each in body["rejected"]] == [
        (2, "bad_time"),
        (3, "bad_time"),
    ]


def test_one_import_a_device(hub: Hub):
    _slug, key = hub.new()
    first = [begun(hub, key)]

    def is_busy() -> bool:
        if hub.post(key, HEADER).status == 503:
            return True
        if select.select([first[0].sock], [], [], 0)[0]:
            # Ours was under way when it came, so that it was the one to be refused.
            first[0].close()
            first[0] = begun(hub, key)
        return False

    try:
        if "runserver" not in hub.process.command:
            # Daphne begins a request only when its body is there.
            wait_until(is_busy, "the first import is under way")
            assert hub.post(key, HEADER).is_error(503, "busy", "imports")
            assert hub.post(hub.new()[1], HEADER).status == 200
        first[0].send(HEADER[5:].encode())
        answer = first[0].getresponse()
        assert answer.status == 200
        answer.read()
    finally:
        first[0].close()
    wait_until(
        lambda: hub.post(key, HEADER).status == 200, "the first import has ended"
    )


def begun(hub: Hub, key: str) -> http.client.HTTPConnection:
    """An import whose file goes on after five characters."""
    connection = hub.connect()
    connection.putrequest("POST", "/api/v1/import")
    for name, each in (
        ("Authorization", f"Bearer {key}"),
        ("Content-Type", "text/csv"),
        ("Content-Length", str(len(HEADER))),
    ):
        connection.putheader(name, each)
    connection.endheaders(HEADER[:5].encode())
    return connection


def test_a_device_reads_itself_alone(hub: Hub):
    slug, key = hub.new()
    other, other_key = hub.new()
    for each in (key, other_key):
        assert hub.post(each, HEADER + lines(1)).status == 200
    query = "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z"
    mine = hub.ask("GET", f"/api/v1/readings?{query}", key)
    assert [each["device"] for each in mine.body["series"]] == [slug]
    theirs = hub.ask("GET", f"/api/v1/readings?{query}&device={other}", key)
    assert theirs.is_error(404, "not_found", other)
    series = hub.ask("GET", f"/api/v1/readings?{query}", other_key).body["series"]
    path = f"/api/v1/series/{series[0]['id']}/readings?{query}"
    assert hub.ask("GET", path, key).is_error(404, "not_found")
    assert hub.ask("GET", path, other_key).status == 200
    wrong = hub.ask("GET", path, "hub_" + "x" * 8 + "_" + "x" * 43)
    assert wrong.is_error(401, "unauthorized")


def test_a_client_that_leaves_ends_its_download(hub: Hub):
    _slug, key = hub.new()
    for start in range(0, 300_000, 30_000):
        assert hub.post(key, HEADER + lines(30_000, start=start)).status == 200
    query = "from=2026-11-22T00:00:00Z&format=csv"
    request = f"GET /api/v1/readings?{query} HTTP/1.1\r\nHost: localhost\r\n"
    request += f"Authorization: Bearer {key}\r\n\r\n"
    # Its window is so small, and the answer so much larger than all buffers on the
    # way, that the hub cannot be done before the client is seen to leave.
    with socket.socket() as leaver:
        leaver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        leaver.settimeout(30)
        leaver.connect(("127.0.0.1", hub.process.port))
        leaver.sendall(request.encode())
        assert leaver.recv(12) == b"HTTP/1.1 200"
        if "runserver" not in hub.process.command:
            # Daphne takes everything off the hub's hands.
            busy = hub.ask("GET", f"/api/v1/readings?{query}", key)
            assert busy.is_error(503, "busy", "1 downloads")

    def is_free() -> bool:
        return hub.ask("GET", f"/api/v1/readings?{query}", key).status == 200

    wait_until(is_free, "the download has ended")


def test_ingest_goes_on_beside_an_import(hub: Hub):
    _slug, key = hub.new()
    _other, other_key = hub.new()
    connection = hub.connect()
    content = (HEADER + lines(40_000)).encode()
    connection.request(
        "POST",
        "/api/v1/import",
        content,
        {"Authorization": f"Bearer {key}", "Content-Type": "text/csv"},
    )
    message = json.dumps({"time": int(time.time() * 1000), "values": {"n": 1}})
    answer = hub.ask(
        "POST",
        "/api/v1/ingest",
        other_key,
        message.encode(),
        Content_Type="application/json",
    )
    assert answer.body["accepted"] == 1
    done = connection.getresponse()
    assert json.loads(done.read())["accepted"] == 40_000
    connection.close()
    assert len(hub.rows(key)) == 40_000


def test_what_a_command_imports_is_read_from_the_running_hub(hub: Hub, tmp_path):
    slug, key = hub.new()
    file = tmp_path / "in.csv"
    file.write_text(HEADER + lines(30_000))
    hub.post(key, HEADER + lines(10, metric="live"))
    hub.process.manage("importreadings", str(file), "--device", slug)
    assert len(hub.rows(key, metric="n")) == 30_000
    query = "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z&points=24"
    answer = hub.ask("GET", f"/api/v1/readings?{query}", key)
    counts = {each["metric"]: sum(each["count"]) for each in answer.body["series"]}
    assert counts == {"live": 10, "n": 30_000}


def test_nothing_went_wrong_in_the_hub(hub: Hub):
    assert "Traceback" not in Path(hub.process.log).read_text(errors="replace")
