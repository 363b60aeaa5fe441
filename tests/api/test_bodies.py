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
    packed = b"".join(gzip.compress(part, mtime=0) for part in parts)
    assert opened(packed, is_gzip=True) == whole


@pytest.mark.parametrize("content", [b"", b"x"])
def test_thousands_of_members(content):
    members = gzip.compress(b"first", mtime=0) + gzip.compress(content) * 5_000
    assert opened(members, is_gzip=True) == b"first" + content * 5_000


@pytest.mark.parametrize("zeros", [1, 8_192, 100_000])
def test_zeros_after_a_member_are_nothing(zeros):
    packed = gzip.compress(b"a", mtime=0) + bytes(zeros)
    assert opened(packed, is_gzip=True) == b"a"
    assert opened(packed + gzip.compress(b"b", mtime=0), is_gzip=True) == b"ab"


@pytest.mark.parametrize("is_gzip", [False, True])
def test_at_the_limit_and_one_more(is_gzip):
    content = bytes(100_000)
    body = gzip.compress(content, mtime=0) if is_gzip else content
    assert opened(body, is_gzip=is_gzip, most_bytes=100_000) == content
    with pytest.raises(TooLong, match="at most 99999 bytes"):
        opened(body, is_gzip=is_gzip, most_bytes=99_999)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain",
        bytes(9),
        gzip.compress(b"x", mtime=0) + bytes(9) + gzip.compress(b"y", mtime=0)[:-1],
        gzip.compress(b"x" * 1_000, mtime=0)[:-3],
        gzip.compress(b"x", mtime=0) + b"rest",
    ],
)
def test_what_is_no_gzip(content):
    with pytest.raises(BadFile, match="expected"):
        opened(content, is_gzip=True)
