"""The browsers' socket `/ws/live`: what it says and hears (protocol.md, Browsers).

Session (or a screen's cookie) and origin are checked at the handshake, a script's token
at `hello`; what may be followed, at every `subscribe` and every few seconds by the
audience.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from django.conf import settings

from .. import conf, counters
from ..bus.socket import HubSocket, error_message, size_of
from ..devices import tokens
from ..devices.access import Topics
from ..devices.access_token import TokenKind
from ..protocol import close_codes
from ..protocol.clock import now_us, to_ms
from ..protocol.codec import LIVE, LIVE_SUBPROTOCOL, Frame, decode_from_browser
from ..protocol.errors import (
    BadRequest,
    Conflict,
    ProtocolError,
    TooLarge,
)
from ..protocol.messages import (
    LiveAck,
    LiveHello,
    LiveWelcome,
    Ping,
    Pong,
    Reset,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from .feed import Feed
from .members import device_topic, is_topic, slug_of_device
from .origin import is_allowed, origins_of
from .people import Claim, Person, claims_of
from .subscription import UNACKED_FRAMES, LostReason, Subscription
from .watched import Watched

# A client that sends only errors is stopped after so many.
MAX_ERRORS = 100

_ack = msgspec.json.Decoder(LiveAck)


class LiveHub(Protocol):
    """What a live socket needs of the hub (`scope["telemetry.hub"]`)."""

    @property
    def feed(self) -> Feed: ...


class LiveConsumer(HubSocket):
    """One browser tab."""

    coding = LIVE

    async def opened(self) -> None:
        hub: LiveHub = self.scope["telemetry.hub"]
        self._feed = hub.feed
        self._limits = conf.limits()
        self.claim: Claim | None = None
        self._person: Person | None = None
        self._interval_ms: int | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._errors = 0
        self._hello_timer: asyncio.TimerHandle | None = None
        counters.SOCKETS.labels(kind="live").inc()
        offered = self.scope.get("subprotocols") or []
        known = LIVE_SUBPROTOCOL in offered
        await self.accept(LIVE_SUBPROTOCOL if known else None)
        if offered and not known:
            self.bye(close_codes.NO_SUBPROTOCOL)
        else:
            await self._identify()
        # From here on the time is the browser's, not ours.
        self._hello_timer = self.loop.call_later(
            self._limits.credential_seconds, self._miss_hello
        )

    async def _identify(self) -> None:
        headers = self.scope["headers"]
        origins = origins_of(headers)
        claims = claims_of(headers)
        if origins or claims:
            # A browser. Without an Origin the cookie alone proves nothing.
            if not is_allowed(origins, settings.HUB_ORIGINS):
                self.bye(close_codes.FORBIDDEN)
                return
            for claim in claims:
                if await self._enter(claim):
                    return
            self.bye(close_codes.UNAUTHORIZED)

    async def _enter(self, claim: Claim) -> bool:
        """Whether the claim holds: then its rights are looked at from now on."""
        person = await self._feed.audience.identify(claim)
        if person is None or self.is_closing:
            return False
        self._person, self.claim = person, claim
        self._feed.audience.join(self)
        return True

    def closed(self) -> None:
        counters.SOCKETS.labels(kind="live").dec()
        self._end_hello_timer()
        self._feed.audience.leave(self)
        self._drop_all()

    # --- what comes -----------------------------------------------------------------

    async def on_frame(self, frame: Frame) -> None:
        size = size_of(frame)
        if size > self._limits.live_message_bytes:
            raise TooLarge(
                f"expected at most {self._limits.live_message_bytes} bytes, got {size}"
            )
        try:
            # Nearly every frame is one, a thousand pages send ten a second each.
            ack = _ack.decode(frame)
        except (ValueError, RecursionError):
            await self._on_message(frame)
        else:
            self._on_ack(ack)

    def on_error(self, error: ProtocolError) -> None:
        self._complain(error)

    async def _on_message(self, frame: Frame) -> None:
        message = decode_from_browser(frame, self._limits.json_depth)
        if isinstance(message, LiveHello):
            await self._on_hello(message)
        elif self._person is None:
            self.bye(close_codes.UNAUTHORIZED)
        elif isinstance(message, Ping):
            self.post(Pong(time=to_ms(now_us()), echo=message.echo))
        elif isinstance(message, Subscribe):
            try:
                await self._on_subscribe(message)
            except ProtocolError as error:
                self._complain(error, message.id)
        elif isinstance(message, Unsubscribe):
            for topic in message.groups:
                self._drop(topic)

    async def _on_hello(self, message: LiveHello) -> None:
        if message.token is not None:
            await self._take_token(message.token)
        if self._person is None:
            self.bye(close_codes.UNAUTHORIZED)
            return
        if self._interval_ms is not None:
            raise Conflict("expected one hello, got a second one")
        self._interval_ms = message.interval_ms
        self._end_hello_timer()
        limits = self._limits
        self.post(
            LiveWelcome(
                time=to_ms(now_us()),
                epoch=self._feed.epoch,
                user=self._person.name,
                limits={
                    "groups": limits.live_topics,
                    "devices": limits.live_topics,
                    "metrics": limits.live_metrics,
                    "max_bytes": limits.live_message_bytes,
                    "max_rows": limits.live_snapshot_rows,
                    "unacked": UNACKED_FRAMES,
                    "ack_ms": int(limits.live_ack_seconds * 1000),
                },
            )
        )

    async def _take_token(self, secret: str) -> None:
        if self._person is not None:
            raise Conflict("expected a session or one token, got another token")
        claim = tokens.claim_of(secret, TokenKind.SCRIPT)
        if claim is not None:
            await self._enter(claim)

    def _on_ack(self, ack: LiveAck) -> None:
        subscription = self._subscriptions.get(ack.group)
        # It may have been taken away while the ack was on its way.
        if subscription is not None:
            subscription.ack(ack.revision, time.monotonic())

    # --- following ------------------------------------------------------------------

    async def _on_subscribe(self, message: Subscribe) -> None:
        if self._interval_ms is None:
            raise BadRequest("expected hello as the first message, got subscribe")
        metrics = self._metrics(message.metrics)
        refused: dict[str, str] = {}
        asked = [
            *self._within_limit(message.groups, refused, is_device=False),
            *self._within_limit(
                map(device_topic, message.devices), refused, is_device=True
            ),
        ]
        # Rights may have been given or taken since the last look.
        claim = self.claim
        if claim is not None:
            await self.take_person(await self._feed.audience.identify(claim))
        await self._feed.look_up(asked)
        found: dict[str, Watched] = {}
        for topic in asked:
            # At each await the audience may take the person away, or their rights.
            person = self._person
            if person is None:
                return
            watched = await self._open(topic, person.topics)
            if watched is not None:
                found[topic] = watched
        # Since then it may have ended, or this socket. No await from here on.
        if self._person is None or self.is_closing:
            return
        found = {topic: each for topic, each in found.items() if self._feed.holds(each)}
        refused |= {topic: "not_found" for topic in asked if topic not in found}
        self.post(Subscribed(id=message.id, groups=list(found), refused=refused))
        resume = message.resume
        held = resume.revisions if resume and resume.epoch == self._feed.epoch else {}
        for topic, watched in found.items():
            self._drop(topic)
            self._subscriptions[topic] = self._feed.watch(
                watched,
                self,
                metrics=metrics,
                interval_ms=self._interval_ms,
                resume=held.get(topic),
            )

    def _metrics(self, names: list[str] | None) -> frozenset[str] | None:
        limit = self._limits.live_metrics
        if names is None:
            return None
        if len(names) > limit:
            raise BadRequest(f"expected at most {limit} metrics, got {len(names)}")
        return frozenset(names)

    def _within_limit(
        self, topics: Iterable[str], refused: dict[str, str], *, is_device: bool
    ) -> list[str]:
        """The topics that this socket may follow besides those it does."""
        room = self._limits.live_topics - sum(
            (slug_of_device(topic) is not None) is is_device
            for topic in self._subscriptions
        )
        kept: list[str] = []
        for topic in dict.fromkeys(topics):
            if (slug_of_device(topic) is not None) is not is_device:
                refused[topic] = "not_found"
            elif topic in self._subscriptions:
                kept.append(topic)
            elif room > 0:
                room -= 1
                kept.append(topic)
            else:
                refused[topic] = "too_many"
        return kept

    async def _open(self, topic: str, topics: Topics) -> Watched | None:
        """The topic, if it exists and its person may see it."""
        if not is_topic(topic):
            return None
        if slug_of_device(topic) is None and not topics.has_group(topic):
            return None
        if not await self._feed.may_follow(topic, topics):
            return None
        return await self._feed.open(topic)

    def _drop(self, topic: str) -> None:
        subscription = self._subscriptions.pop(topic, None)
        if subscription is not None:
            self._feed.unwatch(subscription)

    def _drop_all(self) -> None:
        for topic in list(self._subscriptions):
            self._drop(topic)

    # --- what is taken away ---------------------------------------------------------

    async def take_person(self, person: Person | None) -> None:
        """What the user may see now; None: the session or token has ended."""
        if person is None or self._person is None or person.id != self._person.id:
            self._person = None
            self._drop_all()
            self.bye(close_codes.UNAUTHORIZED)
            return
        self._person = person
        if person.topics.sees_all:
            return
        for topic in list(self._subscriptions):
            if not await self._feed.may_follow(topic, person.topics):
                exists = await self._feed.exists(topic)
                self.lose(topic, "forbidden" if exists else "gone")

    def lose(self, topic: str, reason: LostReason) -> None:
        """The topic is taken away."""
        if topic in self._subscriptions:
            self._drop(topic)
            self.post(Reset(group=topic, reason=reason))

    def bye(self, code: int, reason: str = "", after_ms: int = 0) -> None:
        super().bye(code, reason, after_ms)
        # A reader that is stuck may take long to go: make no more frames for it.
        self._drop_all()

    # --- what is wrong --------------------------------------------------------------

    def _end_hello_timer(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()

    def _miss_hello(self) -> None:
        self.bye(close_codes.SILENT)

    def _complain(self, error: ProtocolError, ref: Any = None) -> None:
        counters.ERRORS.labels(code=error.code).inc()
        self.post(error_message(error, ref))
        self._errors += 1
        if self._errors >= MAX_ERRORS:
            self.bye(close_codes.BAD_REQUEST, "too many errors")
