"""Events to and from files: what is written whole is read again, and nothing that is in a file can stop the reader."""

import errno
import gzip
import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pg_events import DataEvent, SchemaEvent
from pg_events.errors import PgEventsError, UsageError
from pg_events.files import journal
from pg_events.files.journal import Header, Reader, Writer

HEADER = Header("shop", {"public.orders": "0123456789abcdef"}, {"public.orders": {"id": "integer"}})
NAMES = ("log.jsonl", "log.jsonl.gz")


def payload(number: int, row: str = '{"id":1,"total":1.50}') -> str:
    return (
        f'{{"id": {number}, "xid": 7, "at": "2026-11-23T09:29:26.229689+00:00", "table_schema": "public", '
        f'"table_name": "orders", "session_user": "app", "method": "INSERT", "new_data": {row}}}'
    )


DDL = (
    '{"id": 9, "xid": 8, "at": "2026-11-23T09:29:26+00:00", "session_user": "app", "command_tag": "CREATE TABLE", '
    '"columns": {"added":[]}}'
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write("log.jsonl", *payloads)` in one file, each flushed by itself."""

    def write(name: str, *payloads: str) -> Path:
        with Writer(tmp_path / name, HEADER) as writer:
            for text in payloads:
                writer.write(text)
                writer.flush()
        return tmp_path / name

    return write


def read(path: Path) -> tuple[Reader, list[str]]:
    """The reader at its end, and the payloads it gave."""
    reader = journal.read(path)
    return reader, [line.payload for line in reader]


@pytest.fixture
def read_bytes(tmp_path: Path) -> Callable[[bytes], tuple[Reader, list[str]]]:
    def read_bytes(content: bytes) -> tuple[Reader, list[str]]:
        (tmp_path / "some.jsonl").write_bytes(content)
        return read(tmp_path / "some.jsonl")

    return read_bytes


# --- writing and reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_is_read_byte_for_byte(write, name: str) -> None:
    payloads = [
        payload(1, '{"t":"漢\u2028\\u0000 \\ud800","n":1.50,"e":null}'),
        DDL,
        payload(3, '{"d":' + "9" * 6000 + "}"),
    ]

    path = write(name, *payloads)

    reader = journal.read(path)
    lines = list(reader)
    assert [line.payload for line in lines] == payloads
    assert [line.number for line in lines] == [2, 3, 4]
    assert [type(line.event) for line in lines] == [DataEvent, SchemaEvent, DataEvent]
    first = lines[0].event
    assert isinstance(first, DataEvent)
    assert first.new_data is not None
    assert first.new_data["n"].as_tuple() == Decimal("1.50").as_tuple()
    assert reader.header == HEADER
    assert (reader.events, reader.bad_lines, reader.problems) == (3, 0, [])


def test_the_first_line_tells_the_version_and_the_tables(write) -> None:
    first = json.loads(write("log.jsonl", payload(1)).read_text().splitlines()[0])

    assert first == {
        "pg_events": 1,
        "database": "shop",
        "created_at": HEADER.created_at,
        "tables": {"public.orders": "0123456789abcdef"},
        "columns": {"public.orders": {"id": "integer"}},
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_for_its_owner_alone(write, name: str) -> None:
    before = os.umask(0)
    try:
        path = write(name)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_gzip_itself_reads_a_compressed_file(write) -> None:
    path = write("log.jsonl.gz", payload(1), payload(2))

    assert gzip.decompress(path.read_bytes()).decode().splitlines()[1:] == [payload(1), payload(2)]


def test_an_existing_file_is_kept_unless_told(write, tmp_path: Path) -> None:
    path = write("log.jsonl", payload(1))
    before = path.read_bytes()

    with pytest.raises(UsageError, match="already exists"):
        Writer(path, HEADER)

    assert path.read_bytes() == before
    path.chmod(0o644)
    Writer(path, HEADER, overwrite=True).close()
    assert read(path)[1] == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_made_private_is_left_as_it_is(write, monkeypatch) -> None:
    path = write("log.jsonl", payload(1))
    before = path.read_bytes()

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    with pytest.raises(UsageError, match="cannot be made private: Operation not permitted"):
        Writer(path, HEADER, overwrite=True)

    assert path.read_bytes() == before


@pytest.mark.parametrize("path", ["", "no/such/folder/log.jsonl", ".", "a\0b"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError) as error:
        Writer(path, HEADER)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["", "nosuch.jsonl", ".", "a\0b"])
def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path, monkeypatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="cannot be read"):
        journal.read(path)


# --- recorders that die -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_at_any_byte_gives_every_event_that_is_whole(write, tmp_path: Path, name: str) -> None:
    sizes = [write(str(count) + name, *map(payload, range(count))).stat().st_size for count in range(4)]
    content = (tmp_path / ("3" + name)).read_bytes()
    whole_without_its_end = 1 if name == "log.jsonl" else 12  # the line feed; gzip's end, checksum and length

    for size in range(sizes[0], len(content) + 1):
        cut = tmp_path / "cut"
        cut.write_bytes(content[:size])
        reader, payloads = read(cut)

        whole = sum(size >= end for end in sizes[1:])
        possible = sum(size >= end - whole_without_its_end for end in sizes[1:])
        assert payloads in ([payload(n) for n in range(whole)], [payload(n) for n in range(possible)])
        assert reader.header == HEADER
        assert reader.bad_lines <= 1
        if size in sizes:
            assert reader.bad_lines == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_recorder_leaves_what_it_flushed(tmp_path: Path, name: str) -> None:
    code = f"""
import os, signal
from pg_events.files.journal import Header, Writer
writer = Writer({str(tmp_path / name)!r}, Header("shop"))
writer.write({payload(1)!r})
writer.flush()
writer.write({payload(2)!r})
os.kill(os.getpid(), signal.SIGKILL)
"""

    subprocess.run([sys.executable, "-c", code])

    reader, payloads = read(tmp_path / name)
    assert payloads == [payload(1)]
    assert reader.bad_lines == 0


@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_in_the_midst_of_a_write_leaves_each_event_once(tmp_path: Path, monkeypatch, name: str) -> None:
    writer = Writer(tmp_path / name, HEADER)
    really_write = os.write

    def interrupted(file: int, data: memoryview) -> int:
        really_write(file, data[:10])
        monkeypatch.setattr(os, "write", really_write)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt), writer:  # noqa: PT012 - which of them raises is not the point
        writer.write(payload(1))
        writer.write(payload(2))
        writer.flush()

    reader, payloads = read(tmp_path / name)
    assert payloads == [payload(1), payload(2)]
    assert reader.bad_lines == 0


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """What a full disk is like, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_stops_with_a_good_file_and_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def fill(writer: Writer) -> None:
        with writer:
            for number in range(1000):
                writer.write(payload(number))
                writer.flush()

    writer = Writer(path, HEADER)
    with largest_file(1500), pytest.raises(PgEventsError) as error:
        fill(writer)

    reader, payloads = read(path)
    assert len(payloads) >= 3
    assert payloads == [payload(number) for number in range(len(payloads))]
    assert reader.bad_lines == 0
    assert writer.events == len(payloads)
    assert str(error.value) == f"{path} cannot be written: {os.strerror(errno.EFBIG)}; " + (
        f"it holds the {len(payloads)} earlier events"
    )


def test_a_disk_that_is_full_from_the_start_leaves_no_file(tmp_path: Path) -> None:
    with largest_file(10), pytest.raises(PgEventsError):
        Writer(tmp_path / "log.jsonl", HEADER)

    assert list(tmp_path.iterdir()) == []


def test_a_full_device_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")

    with pytest.raises(PgEventsError, match="/dev/full cannot be written: No space left"):
        Writer("/dev/full", HEADER)


# --- files that others made ---------------------------------------------------------------------------------------

GOOD = payload(1).encode()
FIRST = HEADER.as_json().encode()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (GOOD[:-1], "cut short"),
        (GOOD[:40], "cut short"),
        (GOOD + GOOD, "not JSON"),
        (GOOD.replace(b"app", b"\xff\xfe"), "not UTF-8"),
        (GOOD.replace(b"app", b"a\0p"), "NUL"),
        (b"\0" * 4096, "NUL"),
        (payload(1, "[" * 100_000 + "]" * 100_000).encode(), "not of its type"),
        (GOOD[:-1] + b', "x": ' + b"[" * 100_000, "cut short"),
        (GOOD.replace(b"2026-11-23T09:29:26.229689+00:00", b"9999-12-31T23:59:59-23:59"), "its time is out of range"),
        (GOOD.replace(b"2026-11-23T09:29:26.229689+00:00", b"0001-01-01T00:00:00+23:59"), "its time is out of range"),
        (GOOD.replace(b'"id": 1', b'"id": -1'), "not of its type"),
        (GOOD.replace(b'"id": 1', b'"id": 9223372036854775808'), "not of its type"),
        (payload(1, '{"v":[' + "{}," * 1_000_000 + "{}]}").encode(), "more than 1,000,000 values"),
        (payload(1, '{"v":' + "[" * 1_000_001 + "]" * 1_000_001 + "}").encode(), "more than 1,000,000 values"),
        (b"[" * 100_000, "nested too deep"),
        (payload(1, '{"n":NaN}').encode(), "NaN"),
        (b"[]", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "not a payload"),
        (b'{"id": 1}', "not a payload"),
        (b"<html>", "not JSON"),
        (GOOD.replace(b'"id": 1', b'"id": "1"'), "not of its type"),
        (GOOD.replace(b'"id": 1', b'"id": true'), "not of its type"),
        (GOOD.replace(b'"INSERT"', b'["INSERT"]'), "not of its type"),
        (GOOD.replace(b'"INSERT"', b'"MERGE"'), "not of its type"),
        (GOOD.replace(b'"orders"', b"5"), "not of its type"),
        (payload(1, "5").encode(), "not of its type"),
        (GOOD.replace(b"+00:00", b""), "not of its type"),
        (GOOD.replace(b"2026-11-23", b"yesterday"), "Invalid isoformat"),
        (GOOD.replace(b'"2026-11-23T09:29:26.229689+00:00"', b"5"), "not a payload"),
        (b'{"pg_events": 2, "database": "shop"}', "format version 2; this release reads 1; a newer pg_events reads it"),
        (b'{"pg_events": 0, "database": "shop"}', "format version 0; this release reads 1"),
        (b'{"pg_events": true}', "format version True"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_a_bad_line_is_counted_and_passed_over(read_bytes, bad: bytes, reason: str) -> None:
    reader, payloads = read_bytes(b"\n".join([FIRST, GOOD, bad, FIRST, GOOD, b""]))

    assert payloads == [payload(1)] * 2
    assert reader.bad_lines == 1
    assert reader.problems[0].line == 3
    assert reason in reader.problems[0].reason


def test_numbers_that_python_does_not_read_by_itself_are_no_mistake(read_bytes) -> None:
    huge = payload(1, '{"a":1e99999999999999999999,"b":' + "7" * 100_000 + "}")

    reader, payloads = read_bytes(huge.encode())

    assert payloads == [huge]
    assert reader.bad_lines == 0


def test_nothing_of_a_later_format_is_taken_for_ours(read_bytes) -> None:
    reader, payloads = read_bytes(b"\n".join([b'{"pg_events": 2}', GOOD, GOOD]))

    assert payloads == []
    assert reader.header is None
    assert [problem.line for problem in reader.problems] == [1, 2, 3]


def test_an_older_format_is_read_through_each_version_after_it(read_bytes, monkeypatch) -> None:
    monkeypatch.setattr(journal, "FORMAT_VERSION", 3)
    monkeypatch.setattr(
        journal, "CONVERTERS", {1: lambda text: text.replace("total", "sum"), 2: lambda text: text.replace("sum", "s")}
    )
    old, middle, new = (payload(7, f'{{"id":1,"{name}":1.50}}').encode() for name in ("total", "sum", "s"))
    parts = [
        b'{"pg_events": 1}',
        old,
        b'{"pg_events": 2}',
        middle,
        b'{"pg_events": 3}',
        new,
        old,
        b'{"pg_events": 4}',
        new,
    ]

    reader, payloads = read_bytes(b"\n".join(parts))

    assert payloads == [new.decode()] * 3 + [old.decode()]
    assert [problem.line for problem in reader.problems] == [8, 9]
    with_events = journal.Reader(reader.path)
    event = next(iter(with_events)).event
    assert isinstance(event, DataEvent)
    assert event.new_data == {"id": 1, "s": Decimal("1.50")}


def test_a_line_that_is_too_long_is_not_held(read_bytes, monkeypatch) -> None:
    monkeypatch.setattr(journal, "MAX_LINE_BYTES", 1000)
    exactly = payload(1, '{"t":"' + "x" * (1000 - len(payload(1, '{"t":""}'))) + '"}').encode()
    assert len(exactly) == 1000

    reader, payloads = read_bytes(b"\n".join([FIRST, b"x" * 5_000_000, exactly, exactly + b" ", GOOD, b"y" * 1001]))

    assert payloads == [exactly.decode(), payload(1)]
    assert [problem.line for problem in reader.problems] == [2, 4, 6]
    assert all("longer than 1,000 bytes" in problem.reason for problem in reader.problems)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + FIRST + b"\r\n" + GOOD + b"\r\n",
        FIRST + b"\n\n\r\n" + GOOD,
        b'{"pg_events": 1}\n' + GOOD,
        b'{"pg_events": 1, "tables": [5], "database": null, "more": {}}\n' + GOOD,
        gzip.compress(FIRST + b"\n") + gzip.compress(GOOD),
    ],
    ids=["BOM and CRLF", "blank lines", "a short header", "an odd header", "gzip without its name"],
)
def test_what_is_harmless_is_no_mistake(read_bytes, content: bytes) -> None:
    reader, payloads = read_bytes(content)

    assert payloads == [payload(1)]
    assert reader.bad_lines == 0
    assert reader.header is not None


def test_a_missing_header_is_seen_and_no_hindrance(read_bytes) -> None:
    reader, payloads = read_bytes(GOOD + b"\n" + GOOD)

    assert payloads == [payload(1)] * 2
    assert reader.header is None


def test_a_file_ends_when_its_newest_event_was_captured(write, tmp_path: Path) -> None:
    first, newest = (payload(1).replace("T09:29", time) for time in ("T08:00", "T10:00"))
    inside = payload(2, '{"at": "2030-01-01T00:00:00+00:00"}')
    moment = datetime(2026, 11, 23, 10, 0, 26, 229689, UTC)
    for name in NAMES:
        assert journal.ends_at(write(name, first, newest, inside)) == moment
        (tmp_path / name).unlink()
    by_others = tmp_path / "others.jsonl"  # who write the members in another order, and not all of them well
    values = json.loads(newest)
    by_others.write_text(json.dumps({"new_data": {"text": "x" * 300}} | values) + '\n{"id": 9, "at": "soon"}\n')
    assert journal.ends_at(by_others) == moment
    by_others.write_text("")
    assert journal.ends_at(by_others) is None


def test_an_empty_file_has_no_events(read_bytes) -> None:
    assert read_bytes(b"")[1] == []


def test_damaged_compressed_data_ends_the_reading_and_is_counted(write, tmp_path: Path) -> None:
    path = write("log.jsonl.gz", payload(1), payload(2))
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF
    path.write_bytes(content)

    reader, payloads = read(path)

    assert payloads[:1] == [payload(1)]
    assert reader.bad_lines >= 1


def test_rubbish_behind_compressed_data_is_counted(write) -> None:
    path = write("log.jsonl.gz", payload(1))
    path.write_bytes(path.read_bytes() + b"rubbish")

    reader, payloads = read(path)

    assert payloads == [payload(1)]
    assert reader.problems == [(3, "the compressed data is damaged")]


def test_reasons_are_kept_for_the_first_bad_lines_only(read_bytes) -> None:
    reader, _ = read_bytes(b"bad\n" * 1000)

    assert reader.bad_lines == 1000
    assert len(reader.problems) == journal.MAX_PROBLEMS


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    with Writer(tmp_path / "log.jsonl.gz", HEADER) as writer:
        for number in range(3000):
            writer.write(payload(number, '{"t":"' + "x" * 20_000 + '"}'))
    code = f"""
import resource, sys
from pg_events.files import journal
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert sum(1 for _ in journal.read({str(tmp_path / "log.jsonl.gz")!r})) == 3000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(answer.stdout) < 20_000  # KB, of 60 MB
