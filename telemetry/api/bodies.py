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
# What a gunzip is given at once: after the end of a member it copies the rest of it.
PACKED_BYTES = 8_192
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
        self._packed = b""
        # The first member is not optional.
        self._is_between = False

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
        while True:
            # Nothing is read ahead but this.
            self._packed = self._packed or self._source.read(PACKED_BYTES)
            if self._is_between:
                # Zeros fill up a tape's block.
                if not self._packed:
                    return b""
                self._packed = self._packed.lstrip(b"\0")
                if not self._packed:
                    continue
                self._gunzip = zlib.decompressobj(wbits=31)
                self._is_between = False
            if not self._packed:
                raise BadFile("expected a whole gzip, got its beginning")
            if piece := self._opened(self._gunzip, most):
                return piece

    def _opened(self, gunzip: Any, most: int) -> bytes:
        """What the pending bytes open to, up to `most`; a gzip may be several."""
        try:
            piece: bytes = gunzip.decompress(self._packed, most)
        except zlib.error as error:
            raise BadFile(f"expected gzip: {error}") from None
        self._is_between = gunzip.eof
        self._packed = gunzip.unused_data if gunzip.eof else gunzip.unconsumed_tail
        return piece
