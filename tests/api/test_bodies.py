"""The body of an import as a file: as it came, or opened; never more than allowed."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.api.bodies import Body
from telemetry.history.transfer.incoming import BadFile, TooLong


def opened(content: bytes, *, is_gzip: bool, most_bytes: int = 10_000_000) -> bytes:
    body = Body(io.BytesIO(content), is_gzip=is_gzip, most_bytes=most_bytes)
    return io.BufferedReader(body, 1_000).read()


@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=4))
def test_reads_what_was_packed(parts):
    whole = b"".join(parts)
    assert opened(whole, is_gzip=False) == whole
    packed = b"".join(gzip.compress(part) for part in parts)
    assert opened(packed, is_gzip=True) == whole


@pytest.mark.parametrize("is_gzip", [False, True])
def test_at_the_limit_and_one_more(is_gzip):
    content = bytes(100_000)
    body = gzip.compress(content) if is_gzip else content
    assert opened(body, is_gzip=is_gzip, most_bytes=100_000) == content
    with pytest.raises(TooLong, match="at most 99999 bytes"):
        opened(body, is_gzip=is_gzip, most_bytes=99_999)


@pytest.mark.parametrize(
    "content",
    [b"", b"plain", gzip.compress(b"x" * 1_000)[:-3], gzip.compress(b"x") + b"rest"],
)
def test_what_is_no_gzip(content):
    with pytest.raises(BadFile, match="expected"):
        opened(content, is_gzip=True)
