"""The catalogue of errors and close codes is whole and says what to do."""

from __future__ import annotations

import pytest

from telemetry.protocol import close_codes, errors
from telemetry.protocol.errors import ERRORS, ProtocolError, quoted

# protocol.md §1.
CODES = {
    *("bad_request", "unauthorized", "forbidden", "not_found", "unsupported"),
    *("too_large", "rate", "busy", "conflict", "internal"),
}
CLOSE_CODES = {
    *(1000, 4400, 4401, 4403, 4404, 4406, 4408, 4409, 4413, 4429, 4500, 4503),
}


def test_every_code_of_the_protocol_has_one_error():
    assert sorted(error.code for error in ERRORS) == sorted(CODES)
    assert set(ProtocolError.__subclasses__()) >= set(ERRORS)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_error_has_all_that_a_sender_is_told(error: type[ProtocolError]):
    assert 400 <= error.http_status < 600
    assert error.close_code in close_codes.CATALOGUE
    assert error.retryable is (error.code in {"rate", "busy", "internal"})
    raised = error("expected this, got that", 7)
    assert (str(raised), raised.message, raised.seq) == (raised.message,) * 2 + (7,)
    assert error.__name__ in str(errors.__doc__)


def test_every_close_code_has_a_reason_and_an_advice():
    constants = {
        value
        for name, value in vars(close_codes).items()
        if name.isupper() and isinstance(value, int)
    }
    assert constants == close_codes.CATALOGUE.keys() == CLOSE_CODES
    for code, (reason, advice) in close_codes.CATALOGUE.items():
        assert code == 1000 or 3000 <= code <= 4999
        # A close frame holds 123 bytes of reason.
        assert 0 < len(reason.encode()) <= 123 and advice
        assert close_codes.reason(code) == reason


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ("short", "“short”"),
        (17, "“17”"),
        ("a\n\x00\u202eb", "“a���b”"),
        ("x" * 80, f"“{'x' * 80}”"),
        ("x" * 81, f"“{'x' * 80}…”"),
        (None, "“None”"),
    ],
)
def test_what_came_is_quoted_short_and_printable(came: object, expected: str):
    assert quoted(came) == expected
