"""`POST /api/v1/ingest` on both servers: every answer, and what is stored after it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.test import AsyncRequestFactory

from telemetry.devices.models import Device
from telemetry.hub import Hub
from telemetry.ingest.http import ingest
from telemetry.protocol.limits import Limits

from .conftest import DeviceHub, Known

LIMITS = Limits()
T = 1_795_000_000_000
PATH = "/api/v1/ingest"


def us(ms: float) -> int:
    return round(ms * 1000)


class Answer:
    """Status, headers and the JSON of one response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        content = response.read()
        self.body: dict[str, Any] = json.loads(content) if content else {}


def send(
    hub: DeviceHub,
    known: Known | str | None,
    body: bytes | Iterable[bytes],
    method: str = "POST",
    **headers: str,
) -> Answer:
    """One request; a body that is no bytes goes in chunks, without Content-Length."""
    key = known.key if isinstance(known, Known) else known
    sent = {"Content-Type": "application/json"}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", hub.process.port, timeout=20)
    try:
        connection.request(
            method, PATH, body, sent, encode_chunked=not isinstance(body, bytes)
        )
        return Answer(connection.getresponse())
    finally:
        connection.close()


def post(
    hub: DeviceHub, known: Known | str | None, content: Any, **headers: str
) -> Answer:
    body = json.dumps(content, ensure_ascii=False).encode()
    return send(hub, known, body, **headers)


def assert_error(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.body.get("code")) == (status, code), answer.body
    assert answer.body["type"] == "error"
    assert "expected" in answer.body["message"].lower() or status == 403
    assert len(answer.body["message"]) < 500
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body["retryable"] is ("Retry-After" in answer.headers)


@pytest.mark.usefixtures("bystander")
class TestStored:
    def test_one_message_is_on_disk_when_the_answer_comes(self, device_hub: DeviceHub):
        known = device_hub.new()
        answer = post(device_hub, known, {"time": T, "values": {"n": 1, "größe": 2}})
        assert answer.status == 200
        assert answer.body == {
            "accepted": 1,
            "rejected": [{"row": 0, "metric": "größe", "reason": "unknown_metric"}],
            "rejected_count": 1,
        }
        assert device_hub.stored(known) == {"n": [(us(T), 1)]}

    def test_list_of_messages(self, device_hub: DeviceHub):
        known = device_hub.new()
        content = [
            {"type": "data", "time": T, "values": {"n": 1, "t": "grün 锅 \U0001f300"}},
            {
                "base": T,
                "columns": ["n", "b"],
                "rows": [[1, 2, True], [2, None, False]],
            },
            {"values": {}},
        ]
        answer = post(device_hub, known, content)
        assert (answer.status, answer.body["accepted"]) == (200, 5)
        assert device_hub.stored(known) == {
            "n": [(us(T), 1), (us(T + 1), 2)],
            "b": [(us(T + 1), 1), (us(T + 2), 0)],
            "t": [(us(T), "grün 锅 \U0001f300")],
        }

    def test_readings_without_a_time_are_stored_each(self, device_hub: DeviceHub):
        known = device_hub.new()
        for _ in range(2):
            answer = post(device_hub, known, [{"values": {"n": 1}}] * 50)
            assert answer.body["accepted"] == 50
        assert len(device_hub.stored(known)["n"]) == 100

    def test_same_times_again_are_stored_once(self, device_hub: DeviceHub):
        known = device_hub.new()
        for _ in range(2):
            post(device_hub, known, {"time": T, "values": {"n": 1}})
        assert device_hub.stored(known) == {"n": [(us(T), 1)]}

    def test_of_many_refusals_32_are_listed_and_all_counted(
        self, device_hub: DeviceHub
    ):
        known = device_hub.new()
        rows = [[at, at if at % 2 else "no"] for at in range(1_000)]
        message = {"base": T, "columns": ["n"], "rows": rows[1:] + rows[:1]}
        answer = post(device_hub, known, [message, {"time": 0, "values": {"n": 1}}])
        assert answer.status == 200
        assert (answer.body["accepted"], answer.body["rejected_count"]) == (500, 501)
        assert len(answer.body["rejected"]) == 32
        assert len(device_hub.stored(known)["n"]) == 500

    def test_a_refusal_in_a_list_says_which_message_it_was(self, device_hub: DeviceHub):
        known = device_hub.new()
        good, bad = {"values": {"n": 1}}, {"values": {"n": "no"}}
        alone = post(device_hub, known, good).body
        assert alone == {"accepted": 1, "rejected": [], "rejected_count": 0}
        answer = post(device_hub, known, [good, bad]).body
        refused = {"message": 1, "row": 0, "metric": "n", "reason": "bad_type"}
        assert answer == {"accepted": 1, "rejected": [refused], "rejected_count": 1}

    def test_request_of_10000_readings_and_not_one_more(self, device_hub: DeviceHub):
        known = device_hub.new()
        rows = [[at, at] for at in range(LIMITS.batch_rows)]
        full = [{"base": T, "columns": ["n"], "rows": rows}] * 10
        one_more = [*full, {"time": T, "values": {"m": 1}}]
        assert_error(post(device_hub, known, one_more), 413, "too_large")
        assert device_hub.stored(known) == {}
        assert post(device_hub, known, full).body["accepted"] == LIMITS.http_readings
        assert len(device_hub.stored(known)["n"]) == LIMITS.batch_rows

    def test_socket_and_http_of_one_device_side_by_side(self, device_hub: DeviceHub):
        known = device_hub.new()
        device = device_hub.connect(known)
        device.hello("s")
        post(device_hub, known, {"time": T, "values": {"n": 1}})
        device.data(1, time=T + 1, values={"n": 2})
        device.acked(1)
        assert len(device_hub.stored(known)["n"]) == 2


BAD_MESSAGES = [
    {"values": {"n": 1}, "seq": 1},
    {"values": {"n": 1}, "seq": None},
    {"values": {"n": 1}, "type": "ping"},
    {"values": {"n": 1}, "type": None},
    {"values": {"n": {}}},
    {"values": {"n": [1]}},
    {"values": []},
    {"time": "now", "values": {"n": 1}},
    {"values": {"n": 1}, "rows": []},
    {"base": T, "columns": ["n"], "rows": [[0]]},
    {"base": T, "columns": ["n", "n"], "rows": []},
    {"columns": ["n"], "rows": [[0, 1]]},
    {"base": T, "columns": ["n"], "rows": [[0, 1]] * 1_001},
    {"values": {f"m{at}": 1 for at in range(65)}},
    {},
    [],
    None,
    "text",
    1,
]


@pytest.mark.usefixtures("bystander")
class TestRefused:
    @pytest.mark.parametrize("bad", BAD_MESSAGES, ids=lambda bad: json.dumps(bad)[:40])
    def test_one_bad_message_refuses_all(self, device_hub: DeviceHub, bad: Any):
        known = device_hub.new()
        good = {"time": T, "values": {"n": 1}}
        assert_error(post(device_hub, known, [good, bad, good]), 400, "bad_request")
        assert_error(post(device_hub, known, bad), 400, "bad_request")
        assert device_hub.stored(known) == {}

    def test_readings_of_another_device(self, device_hub: DeviceHub):
        known = device_hub.new()
        bad = {"device": "other", "values": {"n": 1}}
        answer = post(device_hub, known, [{"values": {"n": 1}}, bad])
        assert_error(answer, 415, "unsupported")
        assert device_hub.stored(known) == {}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"hello",
            b'{"values":{"n":NaN}}',
            b'{"values":{"n":1e400}}',
            b'{"values":{"n":' + b"9" * 5_000 + b"}}",
            b'{"values":{"n":"\\ud800"}}',
            b'{"values":{"n":"\xff"}}',
            b'\xef\xbb\xbf{"values":{"n":1}}',
            '{"values":{"n":1}}'.encode("utf-16"),
            b"[" * 100_000,
            b'{"values":' + b"[" * 20 + b"]" * 20 + b"}",
            b'{"values":{"n":1}} {"values":{"n":1}}',
        ],
        ids=lambda body: repr(body)[:30],
    )
    def test_what_is_no_json_of_ours(self, device_hub: DeviceHub, body: bytes):
        known = device_hub.new()
        assert_error(send(device_hub, known, body), 400, "bad_request")
        assert device_hub.stored(known) == {}

    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer ", "Basic aHViOmh1Yg==", "Token x", "Bearer \xff"],
    )
    def test_without_a_key(self, device_hub: DeviceHub, header: str):
        headers = {"Authorization": header} if header else {}
        answer = send(device_hub, None, b'{"values":{"n":1}}', **headers)
        assert_error(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_wrong_key(self, device_hub: DeviceHub):
        answer = send(device_hub, "hub_AAAAAAAA_" + "A" * 43, b"not even read")
        assert_error(answer, 401, "unauthorized")

    def test_disabled_device(self, device_hub: DeviceHub):
        known = device_hub.new()
        rows = Device.objects.filter(slug=known.slug)
        device_hub.edit(lambda: rows.update(is_enabled=False))
        answer = post(device_hub, known, {"values": {"n": 1}})
        assert_error(answer, 403, "forbidden")

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_other_methods(self, device_hub: DeviceHub, method: str):
        answer = send(device_hub, device_hub.new(), b"", method)
        assert_error(answer, 405, "bad_request")
        assert answer.headers["Allow"] == "POST"

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content_Type": "text/plain"},
            {"Content_Type": "application/x-www-form-urlencoded"},
            {"Content_Type": ""},
            {"Content_Encoding": "gzip"},
        ],
        ids=str,
    )
    def test_other_media(self, device_hub: DeviceHub, headers: dict[str, str]):
        answer = send(device_hub, device_hub.new(), b'{"values":{"n":1}}', **headers)
        assert_error(answer, 415, "unsupported")

    def test_form_data(self, device_hub: DeviceHub):
        content_type = "multipart/form-data; boundary=x"
        answer = send(device_hub, device_hub.new(), b"{}", Content_Type=content_type)
        # Daphne reads forms itself: one of its limits.
        assert answer.status == {"uvicorn": 415, "daphne": 400}[device_hub.server]

    def test_media_type_with_a_parameter_is_taken(self, device_hub: DeviceHub):
        content_type = "Application/JSON; charset=utf-8"
        body = b'{"values":{"n":1}}'
        answer = send(device_hub, device_hub.new(), body, Content_Type=content_type)
        assert answer.status == 200

    @pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
    def test_body_at_the_limit_and_one_byte_more(
        self, device_hub: DeviceHub, is_chunked: bool
    ):
        known = device_hub.new()
        text = json.dumps({"time": T, "values": {"n": 1}}).encode()
        full = text.ljust(LIMITS.http_body_bytes)

        def body(content: bytes) -> bytes | Iterator[bytes]:
            return in_chunks(content) if is_chunked else content

        assert_error(send(device_hub, known, body(full + b" ")), 413, "too_large")
        assert device_hub.stored(known) == {}
        assert send(device_hub, known, body(full)).status == 200

    def test_needs_no_csrf_token_and_sets_no_cookie(self, device_hub: DeviceHub):
        answer = post(
            device_hub,
            device_hub.new(),
            {"values": {"n": 1}},
            Origin="http://evil.example",
            Cookie="csrftoken=x; sessionid=y",
        )
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers


def in_chunks(content: bytes, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


class TestNarrow:
    def test_above_the_rate(self, narrow_hub: DeviceHub):
        known = narrow_hub.new()
        rows = [[at, at] for at in range(1_000)]
        message = {"base": T, "columns": ["n"], "rows": rows}
        assert post(narrow_hub, known, message).status == 200
        answer = post(narrow_hub, known, message)
        assert_error(answer, 429, "rate")
        assert int(answer.headers["Retry-After"]) >= 1
        other = narrow_hub.new()
        assert post(narrow_hub, other, {"values": {"n": 1}}).status == 200

    def test_guessing(self, narrow_hub: DeviceHub):
        wrong = "hub_AAAAAAAA_" + "A" * 43
        answers = [post(narrow_hub, wrong, {}) for _ in range(4)]
        assert answers[-1].status == 429
        assert_error(answers[-1], 429, "rate")
        good = post(narrow_hub, narrow_hub.new(), {"values": {"n": 1}})
        assert good.status == 200


@pytest.mark.django_db(transaction=True)
class TestHubThatTakesNothing:
    async def test_503_says_why_and_stores_nothing(self, known_key: str):
        hub = Hub()
        await hub.start()
        try:
            hub.door.gate.is_draining = True
            response = await ask(hub, known_key)
            assert response.status_code == 503
            assert json.loads(response.content)["code"] == "busy"
            assert "stopping" in json.loads(response.content)["message"]
            hub.door.gate.is_draining = False
            hub.door.gate.clock_behind_us = 5_000_000
            response = await ask(hub, known_key)
            assert "clock" in json.loads(response.content)["message"]
            assert int(response["Retry-After"]) >= 1
            hub.door.gate.clock_behind_us = 0
            assert (await ask(hub, known_key)).status_code == 200
        finally:
            await hub.drain()


async def ask(hub: Hub, key: str) -> Any:
    request: Any = AsyncRequestFactory().post(
        PATH,
        '{"values":{"n":1}}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    request.scope["telemetry.hub"] = hub
    return await ingest(request)


@pytest.fixture
def known_key(transactional_db) -> str:
    from telemetry.devices import credentials  # Needs the database of the test.

    device = Device.objects.create(name="Boiler", slug="boiler")
    return credentials.issue(device)[1]
