"""`export` and `listen --output`: events into files."""

import json
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from pg_events.db.connection import connect
from pg_events.files import journal
from pg_events.log.listener import EVERYTHING, Cursor, Listener
from pg_events.triggers.catalog import fingerprints
from tests.waiting import until


def fill(url: str, rows: int, first: int = 1) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into note select n, 'row ' || n from generate_series(%s::integer, %s::integer) n", [first, rows]
        )


def numbers(path: str) -> list[int]:
    """The `new_data.id` of the events in a file without a bad line."""
    reader = journal.read(path)
    found = [line.event.new_data["id"] for line in reader]
    assert reader.header is not None
    assert reader.bad_lines == 0
    return found


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_the_kept_events_are_exported_as_listen_prints_them(call, url, name) -> None:
    fill(url, 2500)
    printed = call("listen", "--since", "oldest", "--limit", "2500", "--database-url", url).out

    answer = call("export", name, "--database-url", url)

    assert answer.code == 0
    assert answer.line == f"2,500 events written to {name}"
    reader = journal.read(name)
    assert [line.payload for line in reader] == printed.splitlines()
    assert reader.header.database in url
    assert reader.header.tables.keys() == {"public.note"}
    assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600


def test_a_log_without_events_is_a_header(call, url) -> None:
    answer = call("export", "log.jsonl", "--database-url", url)

    assert answer.line == "0 events written to log.jsonl"
    assert numbers("log.jsonl") == []


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--where", "new.id:2"), [2]),
        (("--since", "1h"), [1, 2, 3]),
        (("--since", "oldest", "--where", "-new.id:2"), [1, 3]),
        (("--since", "2020-01-01", "--until", "2020-01-02"), []),
        (("--until", "1h"), []),
        (("--until", "2999-01-01T14:00"), [1, 2, 3]),
    ],
)
def test_where_since_and_until_choose(call, url, options, ids) -> None:
    fill(url, 3)

    assert call("export", "log.jsonl", *options, "--database-url", url).code == 0

    assert numbers("log.jsonl") == ids


def test_an_export_ends_at_what_was_visible_when_it_began(url) -> None:
    fill(url, 10)
    with Listener(url, page_events=5, wake_up=False) as listener:
        listener.cursor = Cursor(EVERYTHING, listener.cursor.snapshot)
        fill(url, 20, first=11)

        pages = list(listener.window())
        later = [record for page in listener.pages() for record in page]

    assert [len(page) for page in pages] == [5, 5, 0]
    assert len(later) == 10


def test_an_export_changes_nothing_and_needs_no_more_than_reading(call, url, execute) -> None:
    execute(
        url,
        "create role export_reader login",
        "grant usage on schema pgevents to export_reader",
        "grant select on all tables in schema pgevents to export_reader",
    )
    try:
        fill(url, 3)
        reader_url = url + ("&" if "?" in url else "?") + "options=-c%20role%3Dexport_reader"

        answer = call("export", "log.jsonl", "--where", "op:I", "--database-url", reader_url)

        assert answer.line == "3 events written to log.jsonl"
        assert execute(url, "select count(*) from pgevents.consumer") == [(0,)]
    finally:
        execute(url, "drop owned by export_reader", "drop role export_reader")


def test_an_existing_file_is_kept_unless_told(call, url) -> None:
    Path("log.jsonl").write_text("precious")

    for command in ("export log.jsonl", "listen --output log.jsonl"):
        answer = call(*command.split(), "--database-url", url)

        assert answer.code == 2
        assert answer.line.startswith("pg_events: log.jsonl already exists")
        assert Path("log.jsonl").read_text() == "precious"
    assert call("export", "log.jsonl", "--overwrite", "--database-url", url).code == 0
    assert numbers("log.jsonl") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("export", "name the file to write"),
        ("export log.jsonl --since nosuch", "--since: "),
        ("export log.jsonl --until nosuch", "--until: "),
        ("export no/such/log.jsonl", "no/such/log.jsonl cannot be written: No such file or directory"),
        ("listen --output log.jsonl --format pretty", "--output records JSON"),
    ],
)
def test_a_mistake_is_one_line(call, url, arguments, words) -> None:
    answer = call(*arguments.split(), "--database-url", url)

    assert answer.code == 2
    assert words in answer.line
    assert not Path("log.jsonl").exists()


def test_a_full_disk_leaves_a_good_file(run, url) -> None:
    fill(url, 50_000)

    answer = run(
        "export",
        "log.jsonl",
        "--database-url",
        url,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)),
    )

    assert answer.code == 1
    kept = numbers("log.jsonl")
    assert 1000 < len(kept) < 50_000
    assert answer.line == (
        f"pg_events: log.jsonl cannot be written: File too large; it holds the {len(kept):,} earlier events"
    )


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_however_a_recording_ends_the_file_is_good(start, url, end, code, name) -> None:
    fill(url, 3)
    process = start("listen", "--output", name, "--where", "op:I", "--database-url", url)
    process.until_said("listening")
    empty = Path(name).stat().st_size

    fill(url, 6, first=4)
    until(lambda: Path(name).stat().st_size > empty or process.poll() is not None, "the file grows")
    process.send_signal(end)

    answer = process.answer()
    assert answer.code == code
    assert answer.out == ""
    assert numbers(name) == [4, 5, 6]
    if end != signal.SIGKILL:
        assert f"3 events written to {name}" in answer.err


def test_a_recording_ends_at_its_limit(call, url) -> None:
    fill(url, 5)

    answer = call("listen", "--output", "log.jsonl", "--since", "oldest", "--limit", "2", "--database-url", url)

    assert answer.line == "2 events written to log.jsonl"
    assert numbers("log.jsonl") == [1, 2]


def test_on_a_terminal_there_is_progress(in_terminal, url) -> None:
    fill(url, 3)

    terminal = in_terminal("export", "log.jsonl", "--database-url", url)

    assert terminal.end() == 0
    assert "3 events found" in terminal.raw
    assert terminal.screen[-2:] == ["3 events written to log.jsonl", ""]


def test_a_fingerprint_tells_names_types_and_order_of_columns(url, execute) -> None:
    def found() -> str:
        with connect(url, application_name="test") as connection:
            tables = fingerprints(connection)
        assert tables.keys() == {"public.note"}
        return tables["public.note"]

    seen = [found()]
    execute(url, "create table pgevents_free (id integer)", "drop table pgevents_free")
    assert found() == seen[0]
    for change in ("add extra integer", "alter extra type bigint", "rename extra to other", "drop other"):
        execute(url, f"alter table note {change}")
        seen.append(found())

    assert all(len(fingerprint) == 16 for fingerprint in seen)
    assert len(set(seen)) == 4
    assert seen[-1] == seen[0]


PEOPLE = """
create table person (id integer primary key, email text, age integer, note jsonb, born date)
;
insert into person values (1, 'ann@example.com', 42, '{"mail": "ann@example.com", "n": [7, true]}', '2000-01-01')
;
insert into person values (2, 'bob@example.com', 1.5, null, null)
;
update person set email = 'ann@example.com' where id = 2
"""


@pytest.fixture
def people(url, execute) -> str:
    execute(url, *PEOPLE.split("\n;\n"))
    return url


def rows(path: str) -> list[dict]:
    return [json.loads(line.payload)["new_data"] for line in journal.read(path) if "new_data" in line.payload]


def test_values_are_masked_by_column_and_pattern(call, people) -> None:
    answer = call(
        "export", "log.jsonl", "--redact", "person.email", "--redact", "AGE", "--redact", r"/[a-z]+@example\.com/",
        "--redact", "public.*.born", "--where", "table:person is:data", "--database-url", people,
    )  # fmt: skip

    assert answer.code == 0
    text = Path("log.jsonl").read_text()
    assert "ann" not in text
    assert "bob" not in text
    assert '"query"' not in text
    one, two, three = rows("log.jsonl")
    assert one["email"].startswith("***")
    assert one["email"] != two["email"]
    assert one["email"] == three["email"] == one["note"]["mail"]
    assert (one["id"], one["age"], one["note"]["n"], two["note"]) == (1, 0, [7, True], None)
    assert one["born"].startswith("***")


def test_a_mask_that_masks_nothing_is_told(call, people) -> None:
    answer = call("export", "log.jsonl", "--redact", "emial", "--redact", "/nosuch/", "--database-url", people)

    assert answer.code == 1
    assert "--redact emial masked nothing: check the spelling of the column\n" in answer.err
    assert "--redact /nosuch/ masked nothing\n" in answer.err
    assert call("export", "x.jsonl", "--redact", "/(/", "--database-url", people).code == 2


def test_what_two_masks_find_counts_for_both(call, people) -> None:
    answer = call("export", "log.jsonl", "--redact", "email", "--redact", "/@/", "--database-url", people)

    assert "masked nothing" not in answer.err
    assert answer.code == 0


def test_a_saved_log_is_masked_without_a_database(call, people) -> None:
    call("export", "log.jsonl", "--database-url", people)

    answer = call("export", "safe.jsonl.gz", "--log", "log.jsonl", "--redact", "email", "--where", "pk:2")

    assert answer.code == 0
    assert len(rows("safe.jsonl.gz")) == 2
    reader = journal.read("safe.jsonl.gz")
    list(reader)
    assert reader.header.columns["public.person"]["email"] == "text"
    with Path("log.jsonl").open("a") as file:
        file.write("no event\n")
    assert call("export", "again.jsonl", "--log", "log.jsonl").code == 1


HANDLERS = """
import pg_events

def data(payload):
    event = pg_events.parse(payload)
    print("got", event.new_data["email"])
    if event.id < 0 or event.new_data["age"] == 42:
        raise ValueError("too old")
    return 1

class Schema:
    @staticmethod
    async def changed(payload):
        pg_events.parse(payload).command_tag
"""


def test_events_become_a_test_that_runs(call, people) -> None:
    Path("handlers.py").write_text(HANDLERS)
    Path("settings.py").write_text(
        'PG_EVENTS_DATA_UPDATE_CALLBACK = "handlers.data"\nPG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = "handlers:Schema.changed"\n'
    )

    answer = call(
        "export",
        "--pytest",
        "test_people.py",
        "--settings",
        "settings.py",
        "--where",
        "person",
        "--database-url",
        people,
    )

    assert answer.code == 0
    assert "python -m pytest test_people.py" in answer.err
    assert Path("test_people.jsonl").exists()
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_people.py"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "1 failed, 4 passed" in ran.stdout
    assert "ValueError: too old" in ran.stdout
    assert "INSERT-person" in ran.stdout
    assert (
        call("export", "--pytest", "test_people.py", "--callback", "handlers.data", "--database-url", people).code == 2
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--pytest people.py --callback handlers.data", "a file that pytest collects"),
        ("elsewhere/x.jsonl --pytest test_x.py --callback handlers.data", "from the same folder"),
        ("--pytest test_x.py", "no callback"),
        ("--pytest test_x.py --callback nosuch.data", "no module 'nosuch'"),
    ],
)
def test_a_test_that_cannot_be_written_is_told_before_anything_is(call, people, arguments, words) -> None:
    Path("handlers.py").write_text(HANDLERS)

    answer = call("export", *arguments.split(), "--database-url", people)

    assert answer.code == 2
    assert words in answer.line
    assert not list(Path().glob("*.jsonl"))
