"""`POST /api/v1/ingest`: readings of one device by plain HTTP.

The same JSON as `data`, one message or a list of them; the answer comes after the
durable commit. There is no `seq` here: a reading without a time that is sent twice
is stored twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from .. import counters
from ..devices.entries import DeviceEntry
from ..protocol import clock
from ..protocol.codec import JSON
from ..protocol.errors import (
    BadRequest,
    Busy,
    ProtocolError,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unsupported,
)
from ..protocol.messages import Data, Rejection
from . import batch as batches
from .batch import Refusals, Timing
from .door import Door, count_refused, door_of

RETRY_AFTER_SECONDS = 5
SMALL_BODY_BYTES = 65_536


@dataclass(slots=True, eq=False)
class Upload:
    """The sender of one message's batch: what became of it.

    at: the message's place in a list of them, None for a message alone.
    """

    at: int | None
    accepted: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    rejected_count: int = 0
    is_lost: bool = False

    def reject(self, refused: Refusals) -> None:
        """Note what of the message is refused."""
        where = {} if self.at is None else {"message": self.at}
        self.rejected.extend({**where, **each} for each in refused.listed)
        self.rejected_count += refused.count
        count_refused(refused)

    def committed(self, seq: int | None) -> None:
        """Known from the pipeline's `flush`."""

    def refused(self, seq: int | None, reason: str) -> None:
        refused = Refusals()
        refused.add(None, None, None, reason)
        self.accepted = 0
        self.reject(refused)

    def gave_up(self) -> None:
        self.is_lost = True

    def superseded(self) -> None:
        """Never: what has no number has no owner.

        A request is answered by the process that stored it, and nothing elsewhere
        counts on it. Repeating it after a lost answer is the client's decision,
        whichever process it reaches then.
        """


@csrf_exempt
async def ingest(request: HttpRequest) -> HttpResponse:
    """Store a device's readings; 200 once they are on disk."""
    if request.method != "POST":
        return _answer(
            405,
            _error("bad_request", f"expected POST, got {request.method}"),
            Allow="POST",
        )
    try:
        return await _ingest(request)
    except ProtocolError as error:
        counters.ERRORS.labels(code=error.code).inc()
        headers: dict[str, str] = {}
        if error.retryable:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if isinstance(error, Unauthorized):
            headers["WWW-Authenticate"] = "Bearer"
        body = _error(error.code, error.message, error.retryable)
        return _answer(error.http_status, body, **headers)


async def _ingest(request: HttpRequest) -> HttpResponse:
    door = door_of(request.scope)  # type: ignore[attr-defined]
    device = await _device(request, door)
    body = _body(request)
    if len(body) <= SMALL_BODY_BYTES:
        messages = _messages(body, door)
    else:
        # Milliseconds for each 100 KB: not on the event loop.
        messages = await asyncio.to_thread(_messages, body, door)
    door.gate.check_open()
    bucket = door.bucket_of(device.id)
    waiting = bucket.take(0, asyncio.get_running_loop().time()) if bucket else 0.0
    if waiting:
        raise RateLimited(
            f"expected at most {door.limits.device_rate} readings/s, got more; "
            f"wait {waiting:.1f} s"
        )
    return await _store(device, messages, door)


async def _device(request: HttpRequest, door: Door) -> DeviceEntry:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthorized("expected the header “Authorization: Bearer KEY”")
    device = await door.authenticate(key.strip(), request.META.get("REMOTE_ADDR", ""))
    door.heard(device.id)
    return device


def _body(request: HttpRequest) -> bytes:
    if request.content_type != "application/json":
        came = request.content_type or "none"
        raise Unsupported(f"expected Content-Type application/json, got {came[:80]}")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise Unsupported(f"expected no Content-Encoding, got {encoding[:80]}")
    # Bounded before it came here (hub_project.body_limit).
    return request.read()


def _messages(body: bytes, door: Door) -> list[Data]:
    """The messages of a body, checked; one bad message refuses them all."""
    limits = door.limits
    # A list around the messages is one level more.
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"expected UTF-8, got a bad byte at {error.start}") from None
    content = JSON.decode_any(text, limits.json_depth + 1)
    items = content if isinstance(content, list) else [content]
    if not items:
        raise BadRequest("expected a message or a list of them, got an empty list")
    if len(items) > limits.http_readings:
        raise TooLarge(
            f"expected at most {limits.http_readings} messages a request, "
            f"got {len(items)}"
        )
    messages = [_message(item, at, door) for at, item in enumerate(items)]
    readings = sum(_count(message) for message in messages)
    if readings > limits.http_readings:
        raise TooLarge(
            f"expected at most {limits.http_readings} readings a request, "
            f"got {readings}"
        )
    return messages


def _message(item: Any, at: int, door: Door) -> Data:
    where = f"message {at}: "
    if not isinstance(item, dict):
        raise BadRequest(f"{where}expected a map with “values” or “rows”")
    if item.get("type", "data") != "data":
        raise BadRequest(f"{where}expected “type” data or none")
    if "seq" in item:
        raise BadRequest(f"{where}expected no “seq” over HTTP: use a WebSocket for it")
    if "device" in item:
        raise Unsupported(
            f"{where}expected no “device”: this hub serves no gateways yet"
        )
    try:
        message = msgspec.convert(item, Data, strict=True)
        batches.check_shape(message, door.limits)
    except ProtocolError as error:
        raise BadRequest(where + error.message) from None
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{where}{error}") from None
    return message


def _count(message: Data) -> int:
    if message.values is not None:
        return len(message.values)
    return len(message.rows or ()) * len(message.columns or ())


async def _store(
    device: DeviceEntry, messages: Sequence[Data], door: Door
) -> HttpResponse:
    for message in messages:
        missing = batches.missing_metrics(message, device.series)
        if missing:
            await door.new_series.of_message(device, message, missing, {})
    # The database may have been away meanwhile. From here to the flush no await.
    door.gate.check_open()
    is_list = len(messages) > 1
    uploads = [
        _submit(device, message, at if is_list else None, door)
        for at, message in enumerate(messages)
    ]
    accepted = sum(upload.accepted for upload in uploads)
    bucket = door.bucket_of(device.id)
    if bucket is not None:
        # What is refused, or empty, has cost as much as what is stored.
        cost = accepted + sum(max(upload.rejected_count, 1) for upload in uploads)
        bucket.take(cost, asyncio.get_running_loop().time())
    if accepted:
        await door.pipeline.flush()
    if any(upload.is_lost for upload in uploads):
        raise Busy("expected to store the readings, but the hub is stopping")
    rejected = [each for upload in uploads for each in upload.rejected]
    accepted = sum(upload.accepted for upload in uploads)
    rejected_count = sum(upload.rejected_count for upload in uploads)
    tally = door.tallies.of(device.id)
    tally.readings += accepted
    tally.rejected += rejected_count
    return _answer(
        200,
        {
            "accepted": accepted,
            "rejected": rejected[: batches.LISTED_REJECTIONS],
            "rejected_count": rejected_count,
        },
    )


def _submit(device: DeviceEntry, message: Data, at: int | None, door: Door) -> Upload:
    now = clock.now_us()
    stamp_us = door.stamp_us(device.id, now)
    timing = Timing(now, stamp_us, 0, door.limits.future_seconds, door.raw_from)
    batch = batches.detailed_batch(
        message, device.series, timing, door.limits.text_characters
    )
    upload = Upload(at, accepted=len(batch))
    if batch.refused is not None and batch.refused.count:
        upload.reject(batch.refused)
    if len(batch):
        door.pipeline.submit(batch, upload)
    return upload


def _error(code: str, message: str, retryable: bool = False) -> dict[str, Any]:
    return {"type": "error", "code": code, "message": message, "retryable": retryable}


def _answer(status: int, body: dict[str, Any], **headers: str) -> HttpResponse:
    response = HttpResponse(
        msgspec.json.encode(body), content_type="application/json", status=status
    )
    for name, content in headers.items():
        response[name.replace("_", "-")] = content
    return response
