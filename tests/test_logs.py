"""hub_project.logs: lines that nobody can forge or flood."""

from __future__ import annotations

import logging
import sys

from hub_project.logs import LINE_CHARACTERS, LineFormatter, RateFilter


def record(message: str, line: int = 1, level: int = logging.WARNING, **kwargs):
    return logging.LogRecord("hub", level, "room.py", line, message, (), None, **kwargs)


class TestLineFormatter:
    def test_record_is_one_line_whatever_the_client_sent(self):
        line = LineFormatter().format(
            record("path /\n2026 ERROR forged\r\x1b[2J\u2028")
        )
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line and "\\n2026 ERROR forged\\r\\x1b" in line

    def test_process_of_several_is_named(self):
        line = LineFormatter("worker-2").format(record("it is up"))
        assert line.endswith("Z WARNING [worker-2] hub: it is up")
        assert LineFormatter().format(record("it")).endswith("Z WARNING hub: it")

    def test_long_record_is_cut(self):
        line = LineFormatter().format(record("x" * 1_000_000))
        assert len(line) <= LINE_CHARACTERS + 1

    def test_traceback_is_indented_so_that_it_is_no_record(self):
        failed = record("failed")
        try:
            raise ValueError("first\n2026 ERROR forged")
        except ValueError:
            failed.exc_info = sys.exc_info()
        first, *rest = LineFormatter().format(failed).splitlines()
        assert first.endswith("WARNING hub: failed")
        assert rest and all(line.startswith("    ") for line in rest)

    def test_plain_text_of_any_language_stays_readable(self):
        assert LineFormatter().format(record("Gerät 锅炉")).endswith("Gerät 锅炉")

    def test_secrets_are_left_out_wherever_they_stand(self):
        secret = "s-" * 21 + "_"
        failed = record(f"Not Found: /k/hubt_AbCdEf12_{secret}?rotate=1")
        try:
            raise ValueError(f"hub_AbCdEf12_{secret}")
        except ValueError:
            failed.exc_info = sys.exc_info()
        text = LineFormatter().format(failed)
        assert "s-s-" not in text
        assert "/k/hubt_AbCdEf12_…?rotate=1" in text and "hub_AbCdEf12_…" in text

    def test_a_secret_that_was_mistyped_is_left_out_too(self):
        for typed in ("hubt_AbCdEf12_short", "hubt_AbCdEf12_" + "x" * 2_000):
            line = LineFormatter().format(record(f"Not Found: /k/{typed}"))
            assert line.endswith("/k/hubt_AbCdEf12_…")


class TestRateFilter:
    def test_a_line_of_code_speaks_a_few_times(self):
        rate = RateFilter(burst=3)
        assert [rate.filter(record(str(n))) for n in range(5)] == [True] * 3 + [
            False
        ] * 2

    def test_other_lines_and_levels_are_not_silenced(self):
        rate = RateFilter(burst=1)
        assert rate.filter(record("a")) and not rate.filter(record("b"))
        assert rate.filter(record("c", line=2))
        assert rate.filter(record("d", level=logging.ERROR))

    def test_next_window_tells_how_many_were_left_out(self):
        rate = RateFilter(burst=1, window_seconds=0)
        rate.spoken[("room.py", 1, logging.WARNING)] = (0.0, 1, 41)
        again = record("again")
        assert rate.filter(again)
        assert LineFormatter().format(again).endswith("again (41 more were left out)")
