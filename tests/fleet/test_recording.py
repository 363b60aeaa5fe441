"""CSV files of people, and two real ones, as readings."""

from __future__ import annotations

import gzip
from pathlib import Path

import bokeh_sampledata
import pytest

from telemetry.fleet.recording import BadRecording, Options, metric_name, survey
from telemetry.fleet.timecolumn import TimeKind

SAMPLES = Path(bokeh_sampledata.__file__).parent / "_data"


@pytest.fixture
def write(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "recording.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


class TestRealFiles:
    def test_a_ride_with_seven_metrics_a_second(self) -> None:
        ride = survey(SAMPLES / "cycling.csv.gz", Options())
        assert ride.time_kind is TimeKind.DURATION
        assert ride.row_count == 4_391
        assert [column.metric for column in ride.columns] == [
            "position_lat",
            "position_long",
            "altitude",
            "power",
            "cadence",
            "distance",
            "speed",
        ]
        assert {column.kind for column in ride.columns} == {"number"}
        assert ride.dropped == ("column 1, which has no name",)
        first, second = list(ride.rows())[:2]
        assert first[0] == 0
        assert first[1][:2] == [-138_827_872, 1_992_059_008]
        assert second[0] == 1_000_000

    def test_a_year_of_sea_temperature(self) -> None:
        sea = survey(SAMPLES / "sea_surface_temperature.csv.gz", Options())
        assert sea.time_kind is TimeKind.ISO
        assert sea.row_count == 19_226
        (column,) = sea.columns
        assert (column.metric, column.unit) == ("temperature", "celsius")
        assert sea.first_us == 1_455_494_400_000_000
        times = [time for time, _ in sea.rows()]
        # One reading is there twice, and both are kept.
        assert len(times) - len(set(times)) == 1


class TestColumns:
    def test_numbers_booleans_texts_and_nothing(self, write) -> None:
        found = survey(
            write(
                "time,n,flag,word,mixed,empty\n"
                "0,1,true,on,1,\n"
                "1,-2.5e3,FALSE,off,x,\n"
                "2,,,,nan,\n"
            ),
            Options(),
        )
        kinds = {column.metric: column.kind for column in found.columns}
        assert kinds == {
            "n": "number",
            "flag": "boolean",
            "word": "text",
            "mixed": "text",
        }
        assert found.columns[3].why == "line 3 has “x”"
        assert found.dropped == ("empty",)
        assert [values for _, values in found.rows()] == [
            [1, True, "on", "1"],
            [-2500.0, False, "off", "x"],
            [None, None, None, None],
        ]

    def test_only_the_named_columns_under_their_new_names(self, write) -> None:
        path = write("time,a,b,c\n0,1,2,3\n")
        found = survey(path, Options(columns={"c": "last", "a": ""}))
        assert [column.metric for column in found.columns] == ["last", "a"]
        assert next(found.rows())[1] == [3, 1]

    def test_integers_beyond_2_to_the_53_become_floats(self, write) -> None:
        found = survey(write("time,n\n0,9007199254740993\n"), Options())
        (value,) = next(found.rows())[1]
        assert isinstance(value, float)

    def test_headers_that_make_one_name_are_told_apart(self, write) -> None:
        found = survey(write("time,a b,a-b,a b!\n0,1,2,3\n"), Options())
        assert [column.metric for column in found.columns] == ["a_b", "a-b", "a_b_2"]

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("temp", ("temp", "")),
            ("Air temp. (°C)", ("Air_temp", "°C")),
            ("flow [l/min]", ("flow", "l/min")),
            ("Größe", ("Groe", "")),
            ("2nd stage", ("_2nd_stage", "")),
            ("温度", ("", "")),
        ],
    )
    def test_a_header_becomes_a_metric_name(self, header, expected) -> None:
        assert metric_name(header) == expected

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_the_delimiter_is_the_one_the_header_has_most_of(
        self, write, delimiter: str
    ) -> None:
        path = write(delimiter.join(["time", "a", "b"]) + "\n0" + f"{delimiter}1" * 2)
        assert [column.metric for column in survey(path, Options()).columns] == [
            "a",
            "b",
        ]

    def test_a_byte_order_mark_and_empty_lines_are_skipped(self, write) -> None:
        found = survey(write(b"\xef\xbb\xbftime,a\r\n0,1\r\n\r\n1,2\r\n"), Options())
        assert found.row_count == 2


class TestTimes:
    def test_the_first_usual_name_is_the_time(self, write) -> None:
        found = survey(write("id,Timestamp,date\n7,1455537600,x\n"), Options())
        assert found.time_header == "Timestamp"

    def test_unordered_times_stay_in_the_order_of_the_file(self, write) -> None:
        found = survey(write("time,a\n5,1\n3,2\n9,3\n"), Options())
        assert [time for time, _ in found.rows()] == [5_000_000, 3_000_000, 9_000_000]
        assert (found.min_us, found.max_us) == (3_000_000, 9_000_000)

    def test_a_named_kind_overrules_the_first_cell(self, write) -> None:
        options = Options(time_column="t", time_kind=TimeKind.ELAPSED_MS)
        assert survey(write("t,a\n16,1\n"), options).first_us == 16_000


class TestBadFiles:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "line 1: expected a header, got an empty file"),
            ("time,a\n", "expected rows below the header, got none"),
            ("a,b\n1,2\n", "line 1: expected a time column named time, .*got “a”, “b”"),
            (
                "time,a\n0,1\nsoon,2\n",
                "line 3, column “time”: expected elapsed seconds",
            ),
            (
                "time,a\n0,1\n1,2,3\n",
                "line 3: expected 2 cells as in the header, got 3",
            ),
            ("time,a\n0,1e400\n", "line 2, column “a”: expected a finite number"),
            ("time,a\n0," + "x" * 257, "at most 256 characters, got 257"),
            ("time,a\n0,\n", "expected a column with values beside the time, got none"),
            (b"time,a\n0,\xff\n", "expected UTF-8, got the byte 0xff"),
            (gzip.compress(b"time,a\n0,1\n", mtime=0)[:-4], "expected CSV"),
        ],
    )
    def test_one_sentence_says_where_and_what(self, write, content, message) -> None:
        with pytest.raises(BadRecording, match=message):
            survey(write(content), Options())

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BadRecording, match="expected a readable file"):
            survey(tmp_path / "nothing.csv", Options())
