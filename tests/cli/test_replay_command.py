"""`replay` and `runs`: captured events once more into callbacks."""

import gzip
import json
import os
import signal
import stat
from pathlib import Path

import pytest

from pg_events.event import Record
from pg_events.files import journal
from pg_events.playback import runs
from tests.waiting import Signal

HANDLERS = """
import pg_events

calls = open("calls", "a")

def note(payload):
    print(payload, file=calls, flush=True)

def data(payload, attempt=None):
    event = pg_events.parse(payload)
    note(payload)
    print("got", event.id, attempt)
    if event.new_data["id"] == 3:
        fail(event)
    return event.new_data["id"]

def fail(event):
    number = event.new_data["id"]
    raise ValueError(f"no {number}")

async def other(payload):
    return pg_events.parse(payload).id

def schema(payload):
    note(payload)
"""


def an_event(number: int, kind: str = "I", **changes) -> str:
    new = None if kind == "S" else f'{{"id":{number},"amount":1.50}}'
    ddl = '{"command_tag":"ALTER TABLE"}' if kind == "S" else None
    record = Record(
        number, 7, f"2026-08-22T12:00:0{number}+00:00", kind, "public", "note", "app", "shop", None, None, new, ddl
    )
    return record._replace(**changes).payload


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Five inserts, and one schema event at the end; the callbacks are beside it."""
    Path("handlers.py").write_text(HANDLERS)
    Path("settings.py").write_text(
        'PG_EVENTS_DATA_UPDATE_CALLBACK = "handlers.data"\nPG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = "handlers.schema"\n'
    )
    with journal.Writer("log.jsonl", journal.Header("shop")) as writer:
        for number in range(1, 6):
            writer.write(an_event(number))
        writer.write(an_event(6, "S"))
    return "log.jsonl"


def calls() -> list[dict]:
    return [json.loads(line) for line in Path("calls").read_text().splitlines()]


def mend() -> None:
    """What the user does about the failure."""
    Path("handlers.py").write_text(HANDLERS.replace("== 3", "== 33"))


def test_events_go_into_the_callbacks_of_the_settings(call, log) -> None:
    answer = call("replay", log, "--settings", "settings.py", "--where", "-new.id:3")

    assert answer.code == 0
    assert answer.out == "".join(f"got {number} 1\n" for number in (1, 2, 4, 5))
    assert "5 events: 5 delivered, 0 failed in " in answer.err
    assert [payload["id"] for payload in calls()] == [1, 2, 4, 5, 6]


def test_a_callback_gets_the_original_and_one_more_key(call, log) -> None:
    call("replay", log, "--settings", "settings.py", "--where", "new.id:1")

    (got,) = Path("calls").read_text().splitlines()
    original = next(iter(journal.read(log))).payload
    run = runs.find("last").run
    assert got == f'{original[:-1]}, "replay": {{"run": "{run}", "attempt": 1}}}}'


def test_json_tells_what_was_done_and_nothing_else(call, log) -> None:
    answer = call("replay", log, "--callback", "handlers.data", "--where", "op:I", "--on-error", "continue", "--json")

    told = json.loads(answer.out)
    assert answer.code == 1
    assert {name: told[name] for name in ("events", "delivered", "failed", "skipped", "bad_lines", "state")} == {
        "events": 5, "delivered": 4, "failed": 1, "skipped": 0, "bad_lines": 0, "state": "complete",
    }  # fmt: skip
    assert told["seconds"] >= 0
    assert "got 1" in answer.err


def test_without_a_schema_callback_schema_events_are_skipped(call, log) -> None:
    Path("settings.py").write_text('PG_EVENTS_DATA_UPDATE_CALLBACK = "handlers.other"\n')

    answer = call("replay", log, "--settings", "settings.py", "--json")

    assert (json.loads(answer.out)["delivered"], json.loads(answer.out)["skipped"]) == (5, 1)


def test_a_plan_calls_nothing(call, log) -> None:
    answer = call("replay", log, "--settings", "settings.py", "--plan")

    assert answer.code == 0
    assert [" ".join(line.split()) for line in answer.out.splitlines()] == [
        "events what into",
        "1 ALTER TABLE handlers.schema",
        "5 INSERT public.note handlers.data",
        "6 events; nothing was called",
    ]
    assert not Path("calls").exists()
    assert runs.kept() == []


def test_a_plan_of_the_log_tells_what_failed_before(call, url, execute, log) -> None:
    execute(url, "insert into note values (1, 'a'), (2, 'b')")
    (event_id,) = execute(url, "select min(id) from pgevents.log")[0]
    execute(
        url,
        "insert into pgevents.failed (consumer, event_id, payload, attempts, error, traceback)"
        f" values ('mail', {event_id}, '{{}}', 5, 'ValueError: no', ''), ('mail', 999999, '{{}}', 5, 'x', '')",
    )

    answer = call("replay", "log", "--plan", "--json", "--database-url", url)

    told = json.loads(answer.out)
    assert told["events"] == 2
    assert told["counts"] == [{"event": "INSERT public.note", "events": 2, "callback": None}]
    assert told["failed"] == [{"id": event_id, "error": "mail: ValueError: no"}]


def test_the_log_is_replayed_with_filter_and_time(call, url, execute, log) -> None:
    execute(url, "insert into note select n, 'x' from generate_series(1, 4) n")

    answer = call(
        "replay", "log", "--callback", "handlers.other", "--since", "1h", "--where", "new.id>1", "--json",
        "--database-url", url,
    )  # fmt: skip

    assert json.loads(answer.out)["delivered"] == 3


def test_it_stops_at_a_failure_and_goes_on_there_when_it_is_mended(call, log) -> None:
    answer = call("replay", log, "--callback", "handlers.data")
    run = runs.find("last").run

    assert answer.code == 1
    assert "#3 INSERT public.note failed: ValueError: no 3" in answer.err
    assert 'raise ValueError(f"no {number}")' in answer.err
    assert f"pg_events replay --resume {run}" in answer.err
    assert [payload["id"] for payload in calls()] == [1, 2, 3]

    mend()
    answer = call("replay", "--resume", "last", "--json")

    assert (answer.code, json.loads(answer.out)["run"]) == (1, run)  # the schema event has no new_data
    assert [payload["id"] for payload in calls()][3:] == [3, 4, 5, 6]
    assert calls()[3]["replay"] == {"run": run, "attempt": 2}
    total = runs.find("last").sum()
    assert (total.delivered, total.failed, total.state) == (5, 1, "stopped")


def test_what_failed_is_replayed_and_two_runs_are_compared(call, log) -> None:
    call("replay", log, "--callback", "handlers.data", "--where", "op:I", "--on-error", "continue")
    first = runs.find("last").run
    mend()

    answer = call("replay", "--failed-of", first, "--json")

    assert (answer.code, json.loads(answer.out)["delivered"]) == (0, 1)
    assert calls()[-1]["replay"]["attempt"] == 2
    answer = call("runs", "compare", first, "last", "--json")
    assert answer.code == 0
    changes = [(one["change"], one["id"]) for one in map(json.loads, answer.out.splitlines())]
    assert changes == [("works now", 3), *(("only in the first", number) for number in (1, 2, 4, 5))]
    assert call("runs", "compare", "last", first).code == 1
    assert "ValueError: no 3 → ok" in call("runs", "compare", first, "last").out
    assert call("replay", "--failed-of", "last").line.endswith(f"nothing failed in run {runs.find('last').run}")


def test_a_run_of_failures_goes_on_with_failures_only(call, log) -> None:
    call("replay", log, "--callback", "handlers.data", "--on-error", "continue")
    failed = [outcome.id for outcome in runs.find("last").failures().values()]
    assert failed == [3, 6]
    call("replay", "--failed-of", "last")
    mend()
    before = len(calls())

    call("replay", "--resume", "last")

    assert [payload["id"] for payload in calls()[before:]] == failed


def test_a_run_is_kept_for_its_owner_with_output_and_traceback(call, log, state) -> None:
    call("replay", log, "--callback", "handlers.data", "--where", "op:I", "--on-error", "continue")

    run = runs.find("last")
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700
    assert run.path.is_relative_to(state)
    outcomes = list(run.outcomes())
    assert [(one.id, one.ok, one.returned) for one in outcomes[:3]] == [
        (1, True, "1"),
        (2, True, "2"),
        (3, False, None),
    ]
    assert outcomes[0].output == "got 1 1\n"
    assert "fail(event)" in (outcomes[2].traceback or "")
    shown = call("runs", "show", "last")
    assert "ValueError: no 3" in shown.out
    assert "    got 1 1" in shown.out
    assert call("runs", "list").out.splitlines()[1].split()[0] == run.run


def test_a_shadow_gets_the_same_events_and_is_compared(call, log) -> None:
    answer = call(
        "replay", log, "--callback", "handlers.data", "--shadow", "handlers.other", "--where", "op:I",
        "--on-error", "continue", "--json",
    )  # fmt: skip

    told = json.loads(answer.out)
    assert (told["delivered"], told["failed"], told["differing"]) == (4, 1, 5)
    assert "callback: printed got 1 1\n  shadow:   printed nothing" in answer.err
    assert "callback: ValueError: no 3\n  shadow:   returned 3" in answer.err


def test_a_shadow_that_prints_something_else_differs_and_its_lines_are_marked(call, log, tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text(
        "import json\n"
        "def old(payload): print('charged', 10 * json.loads(payload)['new_data']['id'], end='')\n"
        "def new(payload): print('charged', 5 * json.loads(payload)['new_data']['id'] + 5)\n"
    )

    answer = call(
        "replay", log, "--callback", "prices.old", "--shadow", "prices.new", "--where", "op:I new.id:1..2"
    )  # fmt: skip

    assert answer.out == "charged 10\nshadow: charged 10\ncharged 20\nshadow: charged 15\n"
    assert "#2 INSERT public.note differs\n  callback: printed charged 20\n  shadow:   printed charged 15" in answer.err
    assert "#1 INSERT" not in answer.err
    assert "1 differing" in answer.err
    assert "shadow: charged 15" in call("runs", "show", "last").out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_has_enough_does_not_end_the_replay(start, log, options, tmp_path: Path) -> None:
    (tmp_path / "much.py").write_text("def tell(payload): print('x' * 100_000)\n")
    reading, writing = os.pipe()
    process = start("replay", log, "--callback", "much.tell", *options, stdout=writing)
    os.close(writing)
    os.close(reading)

    answer = process.answer()

    assert answer.code == 0
    assert "6 events: 6 delivered" in answer.err
    assert runs.find("last").sum().state == "complete"


def test_times_and_speed(call, log) -> None:
    answer = call("replay", log, "--callback", "handlers.schema", "--times", "3", "--json")

    assert json.loads(answer.out)["delivered"] == 18
    assert [payload["replay"]["attempt"] for payload in calls()] == [1] * 6 + [2] * 6 + [3] * 6
    answer = call("replay", log, "--callback", "handlers.schema", "--speed", "100x", "--json")
    assert json.loads(answer.out)["seconds"] >= 0.05
    answer = call("replay", log, "--callback", "handlers.schema", "--speed", "1", "--max-gap", "0.01", "--json")
    assert 0.05 <= json.loads(answer.out)["seconds"] < 4


def test_bad_lines_are_counted_by_number(call, log) -> None:
    with Path(log).open("ab") as file:
        file.write(b'{"id": \n\xff\n' + an_event(8).encode() + b"\n")

    answer = call("replay", log, "--callback", "handlers.schema", "--json")

    assert answer.code == 1
    assert (json.loads(answer.out)["skipped"], json.loads(answer.out)["bad_lines"]) == (2, 2)
    assert json.loads(answer.out)["delivered"] == 7
    assert "line 8 skipped: not JSON, or cut short" in answer.err
    assert "line 9 skipped: not UTF-8" in answer.err


def test_what_differs_in_a_table_is_said_before_its_event_runs(call, url, execute, log) -> None:
    execute(url, "insert into note values (1, 'a')")
    call("export", "then.jsonl", "--database-url", url)
    execute(url, "alter table note drop text, add price numeric, alter id type bigint")

    answer = call("replay", "then.jsonl", "--callback", "handlers.other", "--database-url", url)

    assert answer.err.splitlines()[0] == (
        "public.note has changed since: - text text, + price numeric, ~ id integer → bigint"
    )
    answer = call("replay", "log", "--where", "op:I", "--plan", "--json", "--database-url", url)
    assert json.loads(answer.out)["drift"] == ["public.note has changed since: - text"]


def test_a_file_is_replayed_though_its_database_is_away(call, log) -> None:
    answer = call("replay", log, "--callback", "handlers.other", "--database-url", "postgresql://localhost:1/none")

    assert answer.code == 0
    assert "tables are not compared" in answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("replay", "pass a source"),
        ("replay nosuch.jsonl --callback handlers.data", "nosuch.jsonl cannot be read"),
        ("replay log.jsonl", "no callback: pass --callback"),
        ("replay log.jsonl --callback handlers.nosuch", "--callback = 'handlers.nosuch'"),
        ("replay log.jsonl --callback handlers.data --where (", "a condition is missing here"),
        ("replay log.jsonl --callback handlers.data --since nosuch", "--since: nosuch is not a valid time"),
        ("replay log.jsonl --callback handlers.data --speed 0", "0 is neither max nor a factor"),
        ("replay log.jsonl --callback handlers.data --step", "need a terminal"),
        ("replay log --callback handlers.data", "the log is in a database"),
        ("replay --resume nosuch", "there is no run nosuch"),
        ("replay log.jsonl --resume last", "leave out SOURCE"),
        ("runs show last", "there is no run last"),
    ],
)
def test_a_mistake_is_told_and_calls_nothing(call, log, arguments, words) -> None:
    answer = call(*arguments.split())

    assert answer.code == 2
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert runs.kept() == []


def test_a_log_that_is_not_there_leaves_no_run(call, database_url, log) -> None:
    answer = call("replay", "log", "--callback", "handlers.data", "--database-url", database_url)

    assert answer.code == 1
    assert "no pg_events in database" in answer.line
    assert runs.kept() == []


def test_a_run_that_cannot_be_taken_up_stays_as_it_was(call, url, execute, log) -> None:
    execute(url, "insert into note select n, 'x' from generate_series(1, 4) n")
    call("replay", "log", "--callback", "handlers.data", "--database-url", url)
    kept = runs.find("last").path.read_text()
    assert call("teardown", "--database-url", url, "--yes").code == 0

    answer = call("replay", "--resume", "last", "--database-url", url)

    assert "no pg_events in database" in answer.line
    assert runs.find("last").path.read_text() == kept
    assert runs.find("last").sum().state == "stopped"


NEEDY = """
import pg_events

calls = open("calls", "a")

def total(payload, connection):
    print(payload, file=calls, flush=True)

def optional(payload, connection=None):
    return connection

class Totals:
    def __call__(self, payload, *, connection):
        total(payload, connection)

totals = Totals()
events = pg_events.Router()
events.on("note")(total)
events.on("note")(optional)
"""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("--callback needy.total", "needy:total"), ("--callback needy.totals", "needy:totals"),
        ("--callback needy.events", "needy:total"), ("--callback needy.optional --shadow needy.total", "needy:total"),
    ],
)  # fmt: skip
def test_a_callback_that_needs_a_connection_is_refused_before_anything_is_called(call, log, arguments, name) -> None:
    Path("needy.py").write_text(NEEDY)

    answer = call("replay", log, *arguments.split())

    assert answer.code == 2
    assert answer.line.startswith(
        f"pg_events: {name} takes a connection, which a replay does not provide; give it a default"
    )
    assert not Path("calls").exists() or not calls()
    assert runs.kept() == []


def test_a_callback_that_can_do_without_a_connection_is_called(call, log) -> None:
    Path("needy.py").write_text(NEEDY)

    answer = call("replay", log, "--callback", "needy.optional")

    assert answer.code == 0
    assert [one.returned for one in runs.find("last").outcomes()] == [None] * 6


def test_a_library_call_refuses_a_callback_that_needs_a_connection(log) -> None:
    import pg_events

    with pytest.raises(pg_events.PgEventsError, match="takes a connection, which a replay does not provide"):
        pg_events.replay(log, lambda payload, connection: None, keep=True)
    assert runs.kept() == []


def test_ctrl_c_finishes_the_event_in_hand_and_the_run_goes_on(start, call, log) -> None:
    Path("slow.py").write_text(
        "import pg_events\n"
        "def data(payload):\n"
        "    number = pg_events.parse(payload).id\n"
        "    open('called', 'a').write(f'{number} ')\n"
        "    if number == 2:\n"
        "        open('begun', 'w').write('x')\n"
        "        open('go').read(1)\n"
    )
    begun, go = Signal("begun"), Signal("go")
    process = start("replay", log, "--callback", "slow.data", "--json")
    begun.wait()

    process.send_signal(signal.SIGINT)
    go.give()
    answer = process.answer()

    assert answer.code == 130
    assert (json.loads(answer.out)["delivered"], json.loads(answer.out)["state"]) == (2, "interrupted")
    answer = call("replay", "--resume", "last", "--json")
    assert json.loads(answer.out)["delivered"] == 4
    assert Path("called").read_text().split() == ["1", "2", "3", "4", "5", "6"]


def test_a_second_ctrl_c_does_not_wait_for_a_callback_that_hangs(in_terminal, call, log) -> None:
    Path("hanging.py").write_text(
        "import pg_events, os, time\n"
        "def data(payload):\n"
        "    if pg_events.parse(payload).id == 2 and not os.path.exists('go'):\n"
        "        open('begun', 'w').write('x')\n"
        "        time.sleep(600)\n"
    )
    begun = Signal("begun")
    terminal = in_terminal("replay", log, "--callback", "hanging.data")
    begun.wait()

    terminal.type("\x03")
    terminal.until("once more to stop at once")
    terminal.type("\x03")

    assert terminal.end() == 130
    assert [outcome.id for outcome in runs.find("last").outcomes()] == [1]
    Path("go").touch()
    assert json.loads(call("replay", "--resume", "last", "--json").out)["delivered"] == 5


def test_a_call_that_takes_too_long_has_failed(call, log) -> None:
    Path("hanging.py").write_text("import time\ndef data(payload):\n    time.sleep(600)\n")
    Path("settings.py").write_text(
        "PG_EVENTS_DATA_UPDATE_CALLBACK = 'hanging.data'\nPG_EVENTS_CALLBACK_TIMEOUT_SECONDS = 0.2\n"
    )

    answer = call("replay", log, "--settings", "settings.py")

    assert answer.code == 1
    assert "did not return within the time limit of 0.2 s" in answer.err


HOSTILE = [
    (b"\xef\xbb\xbf" + journal.Header("shop").as_json().encode() + b"\r\n", None),
    (an_event(1).encode() + b"\r\n", 1),
    (an_event(1).encode() + b"\n", 1),
    (an_event(2, table_name="[red]\x1b[31m\u202e").encode() + b"\n", 2),
    (an_event(3, new_data='{"t":"\\u001b[2J","m":"[bold]"}').encode() + b"\n", 3),
    (b"\xff\xfe\n", "not UTF-8"),
    (b"\0" * 100 + b"\n", "NUL"),
    (an_event(4, new_data='{"a":' + "[" * 5000 + "]" * 5000).encode() + b"\n", "cut short"),
    (b'{"\x1b[31m": \n', "not JSON"),
    (b'{"pg_events": 99, "\x1b": 1}\n', "not JSON"),
    (b'{"pg_events": 99}\n', "format version 99"),
    (an_event(5).encode() + b"\n", "format version 99"),
    (journal.Header("shop").as_json().encode() + b"\n", None),
    (an_event(6).encode() + b"\n", 6),
    (an_event(7).encode()[:40], "cut short"),
]


@pytest.mark.parametrize("name", ["odd.jsonl", "odd.jsonl.gz"])
def test_a_file_that_strangers_wrote_harms_nothing(call, log, name) -> None:
    content = b"".join(line for line, _ in HOSTILE)
    Path(name).write_bytes(gzip.compress(content)[:-4] if name.endswith(".gz") else content)
    good = [number for _, number in HOSTILE if isinstance(number, int)]
    bad = [(number, reason) for number, (_, reason) in enumerate(HOSTILE, 1) if isinstance(reason, str)]

    answer = call("replay", name, "--callback", "handlers.schema", "--json")

    told = json.loads(answer.out)
    assert answer.code == 1
    assert told["delivered"] == len(good)
    assert [payload["id"] for payload in calls()] == good
    assert told["bad_lines"] in (len(bad), len(bad) + 1)  # compressed, its end is missing, too
    for number, reason in bad[:-1]:
        assert any(line.startswith(f"line {number} skipped: ") and reason in line for line in answer.err.splitlines())
    for other in (
        call("replay", name, "--plan"),
        call("replay", name, "--callback", "builtins.int", "--on-error", "continue"),
        call("runs", "show", "last", "--all"),
        call("history", "[red]*", "1", "--log", name),
        call("transaction", "7", "--log", name),
        call("export", f"out-{name}", "--log", name),
    ):
        assert "\x1b" not in other.out + other.err
        assert "Traceback" not in other.err.replace("Traceback (most recent call last):\nValueError", "")


def test_a_killed_run_goes_on_behind_its_last_whole_line(call, log) -> None:
    call("replay", log, "--callback", "handlers.other", "--where", "op:I")
    run = runs.find("last")
    lines = run.path.read_bytes().splitlines(keepends=True)
    run.path.write_bytes(b"".join(lines[:3]) + lines[3][:10])
    assert (run.sum().state, run.sum().delivered) == ("cut short", 2)

    answer = call("replay", "--resume", run.run, "--json")

    assert json.loads(answer.out)["delivered"] == 3
    assert (run.sum().state, run.sum().delivered) == ("complete", 5)


def test_a_callback_that_ends_its_process_has_failed_and_the_rest_goes_on(call, log) -> None:
    Path("dying.py").write_text("import os, pg_events\ndef data(p):\n    pg_events.parse(p).id == 2 and os._exit(3)\n")

    answer = call("replay", log, "--callback", "dying.data", "--on-error", "continue", "--json")

    assert (json.loads(answer.out)["delivered"], json.loads(answer.out)["failed"]) == (5, 1)


def test_step_by_step(in_terminal, log) -> None:
    terminal = in_terminal("replay", log, "--callback", "handlers.other", "--step")
    for number, key in ((1, "\n"), (2, "s\n"), (3, "q\n")):
        terminal.until(f"#{number} INSERT")
        terminal.until("(q)uit: " if number == 1 else f"#{number}")
        terminal.type(key)

    assert terminal.end() == 0
    run = runs.find("last")
    assert [outcome.id for outcome in run.outcomes()] == [1]
    assert run.sum().skipped == 1


def test_the_debugger_opens_at_the_failing_line_of_the_users(in_terminal, log) -> None:
    terminal = in_terminal("replay", log, "--callback", "handlers.data", "--pdb")
    terminal.until("(Pdb)")
    terminal.type("p 'number is', number\n")
    terminal.until("('number is', 3)")
    terminal.type("q\n")

    assert terminal.end() == 1
    assert "-> raise ValueError" in terminal.raw
    assert runs.find("last").sum().failed == 1


def test_a_payload_is_edited_and_marked(in_terminal, log) -> None:
    Path("editor.sh").write_text("#!/bin/sh\nsed -i 's/1.50/2.75/' \"$1\"\n")
    Path("editor.sh").chmod(0o700)
    terminal = in_terminal(
        "replay", log, "--callback", "handlers.data", "--where", "new.id:1", "--edit",
        environment={"EDITOR": str(Path("editor.sh").absolute())},
    )  # fmt: skip

    assert terminal.end() == 0
    (got,) = Path("calls").read_text().splitlines()
    assert '"new_data": {' in got
    assert '"amount": 2.75' in got
    assert json.loads(got)["replay"]["edited"] is True
    assert [outcome.edited for outcome in runs.find("last").outcomes()] == [True]


def test_saving_a_file_runs_it_again_with_the_new_code(in_terminal, log) -> None:
    terminal = in_terminal("replay", log, "--callback", "handlers.data", "--where", "op:I", "--watch")
    terminal.until("waiting for a save")
    assert runs.find("last").sum().state == "stopped"

    mend()
    terminal.until("handlers.py was saved")
    terminal.until("5 delivered")
    terminal.until("5 delivered")
    Path("handlers.py").write_text("this is no Python")
    terminal.until("SyntaxError")

    assert terminal.end_by("\x03") in (0, 2)
    first, *rest = [run.sum().delivered for run in runs.kept()]
    assert (first, set(rest)) == (2, {5})


def test_on_a_terminal_there_is_a_bar(in_terminal, log) -> None:
    terminal = in_terminal("replay", log, "--callback", "handlers.other")

    assert terminal.end() == 0
    assert "replaying" in terminal.raw
    assert any(line.startswith("6 events: 6 delivered, 0 failed") for line in terminal.screen)


def test_a_library_call_does_the_same(url, execute, log, monkeypatch) -> None:
    import pg_events

    execute(url, "insert into note select n, 'x' from generate_series(1, 4) n")
    got: list[str] = []

    async def asynchronous(payload: str) -> None:
        got.append(payload)

    report = pg_events.replay(url, asynchronous, where="new.id>1")

    assert (report.ok, report.events, report.delivered, report.run) == (True, 3, 3, None)
    assert [pg_events.parse(payload).new_data["id"] for payload in got] == [2, 3, 4]
    assert [event.new_data["id"] for event in pg_events.read(url, where="op:I", since="1h")] == [1, 2, 3, 4]

    def failing(payload: str) -> None:
        raise ValueError(pg_events.parse(payload).id)

    report = pg_events.replay(Path(log), failing, on_error="continue", keep=True)
    assert (report.ok, report.delivered, report.failed) == (False, 0, 6)
    assert report.failures[0].error == "ValueError: 1"
    assert runs.find("last").run == report.run
    events = pg_events.read(log)
    assert [event.id for event in events] == [1, 2, 3, 4, 5, 6]
    assert events.bad_lines == 0
    for wrong in ({"where": "("}, {"since": "nosuch"}, {"on_error": "no"}, {"times": 0}):
        with pytest.raises(pg_events.PgEventsError):
            pg_events.replay(log, failing, **wrong)
    with pytest.raises(pg_events.PgEventsError, match="cannot be read"):
        pg_events.read("nosuch.jsonl")
