"""The body of an import: who may send a long one, and what it opens to. Streamed.

Django puts a body into a temporary file before any view sees the request, so here
the key is looked at before the first byte of it is read.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from .. import conf
from ..history.transfer.incoming import BadFile, TooLong
from ..ingest.door import door_of
from .askers import device_of_key
from .turns import Turns

PATH = "/api/v1/import"
PIECE_BYTES = 65_536
TURN = "telemetry.import"
IMPORTS = Turns("IMPORTS", "imports")


@asynccontextmanager
async def most_body_bytes(scope: dict[str, Any]) -> AsyncIterator[int]:
    """How long the body of an HTTP request may be, while it is answered.

    Raises ProtocolError for an import that is let in no further.
    """
    if scope["path"] != PATH or scope["method"] != "POST":
        yield int(conf.value("HTTP_BODY_BYTES"))
        return
    header = b""
    for name, content in scope["headers"]:
        if name == b"authorization":
            header = content
    address = (scope.get("client") or ("",))[0]
    device = await device_of_key(
        door_of(scope), header.decode("latin-1"), str(address or "")
    )
    # One a device: each may wait for its body as long as it likes.
    turn = scope[TURN] = IMPORTS.take(device.id, 1)
    try:
        yield int(conf.value("IMPORT_BYTES"))
    finally:
        turn.end()


def end_turn(scope: dict[str, Any]) -> None:
    """An import is done: the next one may come as soon as this one is answered."""
    if TURN in scope:
        scope[TURN].end()


class Readable(Protocol):
    """What a body can be read from."""

    def read(self, size: int = ...) -> bytes: ...


class Body(io.RawIOBase):
    """A request's body as a file; `is_gzip` opens it. Raises TooLong and BadFile."""

    def __init__(self, source: Readable, *, is_gzip: bool, most_bytes: int) -> None:
        self._source = source
        self._most_bytes = most_bytes
        self._left = most_bytes
        self._gunzip = zlib.decompressobj(wbits=31) if is_gzip else None
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._piece(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise TooLong(f"expected at most {self._most_bytes} bytes, got more")
        buffer[: len(piece)] = piece
        return len(piece)

    def _piece(self, most: int) -> bytes:
        if self._gunzip is None:
            return self._source.read(most)
        while not self._has_ended:
            packed = self._gunzip.unconsumed_tail or self._source.read(PIECE_BYTES)
            if not packed:
                raise BadFile("expected a whole gzip, got its beginning")
            try:
                piece = self._gunzip.decompress(packed, most)
            except zlib.error as error:
                raise BadFile(f"expected gzip: {error}") from None
            if self._gunzip.eof:
                self._next_member(self._gunzip.unused_data)
            if piece:
                return piece
        return b""

    def _next_member(self, unused: bytes) -> None:
        """A gzip may be several, one after the other."""
        rest = unused or self._source.read(PIECE_BYTES)
        if not rest:
            self._has_ended = True
            return
        self._source = _Again(rest, self._source)
        self._gunzip = zlib.decompressobj(wbits=31)


class _Again:
    """What was read too far, and then the rest."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return self._rest.read(size)
