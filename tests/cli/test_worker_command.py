"""`worker` and `failed`: from the command line to a callback and back."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HOOKS = """
import json, os, sys, threading

def tell(payload):
    print("got", json.loads(payload)["new_data"]["id"])

async def tell_async(payload):
    print("got", json.loads(payload)["new_data"]["id"])

def tell_schema(payload):
    print("ddl", json.loads(payload)["command_tag"])

def fail(payload):
    raise ValueError("\\x1b[31mno [/] \\u202e postgresql://bob:Sup3rS3cret@h/db")

def leave(payload):
    sys.exit(3)

def fail_on_2(payload):
    if json.loads(payload)["new_data"]["id"] == 2:
        raise KeyError(2)
    print("got", json.loads(payload)["new_data"]["id"])

def fail_with_id(payload):
    raise KeyError(json.loads(payload)["new_data"]["id"])

def close_stdout(payload):
    sys.stdout.close()

def hang(payload):
    print("hanging")
    threading.Event().wait()

def wait(payload):
    print("waiting")
    open("go").close()  # a pipe: waits for whoever opens its other end
"""


@pytest.fixture
def settings(url, tmp_path: Path) -> Callable[..., str]:
    """`settings("tell")`: the name of settings whose callback for data that is."""
    (tmp_path / "hooks.py").write_text(HOOKS)

    def settings(function: str, schema: str | None = None) -> str:
        lines = [
            f"PG_EVENTS_DATABASE_URL = {url!r}",
            f"PG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.{function}'",
            "PG_EVENTS_MAX_ATTEMPTS = 2",
            "PG_EVENTS_RETRY_SECONDS = 0",
        ]
        if schema:
            lines.append(f"PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = 'hooks:{schema}'")
        (tmp_path / "settings.py").write_text("\n".join(lines))
        return "settings.py"

    return settings


ONCE = ("worker", "--once", "--from", "oldest", "--settings")


@pytest.mark.parametrize("function", ["tell", "tell_async"])
def test_once_delivers_what_is_there_and_ends(call, settings, url, execute, function) -> None:
    execute(url, "insert into note values (1), (2)", "alter table note add other integer")

    first = call(*ONCE, settings(function, "tell_schema"))
    again = call(*ONCE, settings(function, "tell_schema"))

    assert first.code == again.code == 0
    assert first.out == "got 1\ngot 2\nddl ALTER TABLE\n"
    assert first.err.endswith("delivered 3, failed 0, retried 0\n")
    assert again.out == ""
    assert again.err.endswith("delivered 0, failed 0, retried 0\n")


def test_a_new_consumer_starts_after_the_newest_event_unless_told_otherwise(call, settings, url, execute) -> None:
    execute(url, "insert into note values (1)")

    assert call("worker", "--once", "--settings", settings("tell")).out == ""
    assert call("worker", "--once", "--name", "other", "--from", "oldest", "--settings", "settings.py").out == "got 1\n"


@pytest.mark.parametrize(
    ("function", "error"), [("fail", "ValueError: ␛[31mno [/] \\u{202e}"), ("leave", "SystemExit: 3")]
)
def test_a_callback_that_fails_is_told_and_kept_and_the_worker_goes_on(
    call, settings, url, execute, function, error
) -> None:
    execute(url, "insert into note values (1), (2)")

    answer = call(*ONCE, settings(function))

    assert answer.code == 1
    assert "delivered 0, failed 2, retried 2\n" in answer.err
    assert "the last failure: hooks:" in answer.err.splitlines()[-1]
    assert error in answer.err
    assert "hooks.py" in answer.err
    for sign in ("\x1b", "\u202e", "Sup3rS3cret", "pg_events/delivery/worker.py"):
        assert sign not in answer.err


def test_failed_events_are_listed_shown_and_discarded(call, settings, url, execute) -> None:
    execute(url, "insert into note values (1), (2), (3)")
    assert call(*ONCE, settings("fail_on_2")).out == "got 1\ngot 3\n"
    database = ("--database-url", url)

    (row,) = map(json.loads, call("failed", "list", "--json", *database).out.splitlines())
    listed = call("failed", "list", *database)
    shown = call("failed", "show", str(row["event_id"]), *database)
    shown_as_json = call("failed", "show", "--json", str(row["event_id"]), *database)

    assert (row["consumer"], row["attempts"], row["error"]) == ("default", 2, "KeyError: 2")
    assert listed.out.startswith(f"#{row['event_id']}  default  ")
    assert listed.out.endswith("  2×  KeyError: 2\n")
    head, payload, traceback, *_ = shown.out.splitlines()
    assert head.startswith(f"event {row['event_id']}, consumer default, ")
    assert json.loads(payload)["new_data"] == {"id": 2, "text": None}
    assert traceback == "Traceback (most recent call last):"
    assert json.loads(shown_as_json.out) == row
    assert json.loads(call("status", "--json", *database).out)["consumers"][0]["failed"] == 1

    assert call("failed", "discard", "--name", "other", str(row["event_id"]), *database).code == 1
    discarded = call("failed", "discard", str(row["event_id"]), *database)

    assert discarded.line == f"discarded event {row['event_id']} of default"
    assert call("failed", "list", *database).line == "no failed events"
    assert call("failed", "show", str(row["event_id"]), *database).code == 1


def test_failed_events_of_strangers_do_not_speak_to_the_terminal(call, in_terminal, settings, url, execute) -> None:
    execute(url, "insert into note values (1, e'\\x1b[31m \\u202e [/]')")
    call(*ONCE, settings("fail"))
    (row,) = map(json.loads, call("failed", "list", "--json", "--database-url", url).out.splitlines())

    listing = in_terminal("failed", "list", "--database-url", url, columns=60)
    showing = in_terminal("failed", "show", str(row["event_id"]), "--database-url", url)

    assert (listing.end(), showing.end()) == (0, 0)
    assert max(map(len, listing.screen)) <= 60
    for terminal in (listing, showing):
        assert not any(sign in terminal.raw for sign in ("\x1b[31m", "\u202e", "Sup3rS3cret"))


def test_a_callback_that_closes_stdout_does_not_end_the_worker_in_a_traceback(run, settings, url, execute) -> None:
    execute(url, "insert into note values (1), (2)")

    answer = run(*ONCE, settings("close_stdout"))

    assert answer.code == 0
    assert "Traceback" not in answer.err


def test_what_a_callback_prints_is_seen_at_once(start, settings, url, execute) -> None:
    execute(url, "insert into note values (1)")
    process = start("worker", "--from", "oldest", "--settings", settings("tell"))

    assert process.stdout.readline() == "got 1\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)], ids=lambda value: str(value)
)
def test_a_signal_lets_the_event_in_hand_finish_and_saves(
    start, call, settings, url, execute, tmp_path, number, code
) -> None:
    execute(url, "insert into note values (1), (2)")
    os.mkfifo(tmp_path / "go")
    process = start("worker", "--from", "oldest", "--settings", settings("wait"))
    assert process.stdout.readline() == "waiting\n"

    process.send_signal(number)
    (tmp_path / "go").open("w").close()
    answer = process.answer()

    assert answer.code == code
    assert answer.out == ""
    assert answer.err.endswith("delivered 1, failed 0, retried 0\n")
    assert call("worker", "--once", "--settings", settings("tell")).out == "got 2\n"


def test_a_second_ctrl_c_does_not_wait_for_the_callback(in_terminal, call, settings, url, execute) -> None:
    execute(url, "insert into note values (1)")
    terminal = in_terminal("worker", "--from", "oldest", "--settings", settings("hang"))
    terminal.until("hanging")

    terminal.type("\x03")
    terminal.until("once more to stop at once")
    terminal.type("\x03")

    assert terminal.end() == 130
    assert "Traceback" not in terminal.raw
    assert call("worker", "--once", "--settings", settings("tell")).out == "got 1\n"


def test_an_idle_worker_stops_on_ctrl_c(in_terminal, settings) -> None:
    terminal = in_terminal("worker", "--settings", settings("tell"))
    terminal.until("delivering")

    terminal.type("\x03")

    assert terminal.end() == 130
    assert "delivered 0, failed 0, retried 0" in terminal.raw


def test_a_worker_that_waits_for_a_share_stops_on_sigterm(start, settings, url, execute) -> None:
    execute(url, "insert into note values (1)")
    first = start("worker", "--from", "oldest", "--settings", settings("hang"))
    assert first.stdout.readline() == "hanging\n"
    second = start("worker", "--settings", "settings.py")
    second.until_said("waiting for a share")

    second.send_signal(signal.SIGTERM)

    assert second.answer().code == 0


def test_failed_events_are_retried_through_the_worker_by_filter_id_or_all(call, settings, url, execute) -> None:
    execute(url, "insert into note values (1), (2), (3)")
    assert call(*ONCE, settings("fail")).code == 1
    database = ("--database-url", url)
    ids = [json.loads(line)["event_id"] for line in call("failed", "list", "--json", *database).out.splitlines()]

    found = call("failed", "list", "--where", "new.id>2", *database)
    nothing = call("failed", "retry", "--where", "new.id>3", *database)
    by_filter = call("failed", "retry", "--where", "new.id:3", "--json", *database)
    by_id = call("failed", "retry", str(ids[0]), *database)

    assert found.out.startswith(f"#{ids[2]}  default  ")
    assert nothing.line == "no such failed events"
    assert json.loads(by_filter.out) == {"retried": [{"consumer": "default", "event_id": ids[2]}]}
    assert by_id.line == "1 event to be delivered again, by the worker of default"
    assert "2×, to be retried" in call("failed", "list", *database).out
    assert call("worker", "--once", "--settings", settings("tell")).out == "got 1\ngot 3\n"

    assert call("failed", "discard", "--all", *database).line == "discarded 1 event of default"
    assert call("failed", "list", *database).line == "no failed events"


def test_a_running_worker_takes_up_a_retry(start, call, settings, url, execute) -> None:
    execute(url, "insert into note values (1)")
    call(*ONCE, settings("fail"))
    process = start("worker", "--settings", settings("tell"))
    process.until_said("delivering")

    assert call("failed", "retry", "--all", "--database-url", url).code == 0

    assert process.stdout.readline() == "got 1\n"


def test_an_event_that_is_held_is_no_failed_one(call, settings, url, execute, tmp_path) -> None:
    execute(url, "insert into note values (1)", "update note set text = 'x'")
    with (tmp_path / settings("fail")).open("a") as file:
        file.write("\nPG_EVENTS_DATA_UPDATE_ON_FAILURE = 'hold'\n")
    answer = call(*ONCE, "settings.py")
    database = ("--database-url", url)
    failed, held = (json.loads(line) for line in call("failed", "list", "--json", *database).out.splitlines())

    refused = call("failed", "retry", str(held["event_id"]), *database)

    assert "delivered 0, failed 1, retried 1, held 1\n" in answer.err
    assert (failed["state"], held["state"]) == ("failed", "held")
    assert refused.code == 1
    assert "is blocked by an earlier failed event of its row" in refused.line
    assert "1, 1 held" in call("status", *database).out


def test_a_worker_that_is_to_stop_at_a_failure_says_so_and_exits_with_1(call, settings, url, execute, tmp_path) -> None:
    execute(url, "insert into note values (1), (2), (3)")
    with (tmp_path / settings("fail_on_2")).open("a") as file:
        file.write("\nPG_EVENTS_ON_FAILURE = 'stop'\n")

    first = call(*ONCE, "settings.py")
    second = call(*ONCE, settings("tell"))

    assert first.code == 1
    assert "failed 2 times on event" in first.err
    assert "stopped before it" in first.err
    assert "Traceback" not in first.err
    assert (first.out, second.out) == ("got 1\n", "got 2\ngot 3\n")


def test_a_new_consumer_starts_at_an_id_or_a_time(call, settings, url, execute) -> None:
    execute(url, "insert into note values (1)", "insert into note values (2)")
    ((last,),) = execute(url, "select max(id) from pgevents.log")

    by_id = call("worker", "--once", "--name", "a", "--from", str(last), "--settings", settings("tell"))
    by_time = call("worker", "--once", "--name", "b", "--from", "1h", "--settings", "settings.py")

    assert by_id.out == "got 2\n"
    assert f"starting at event {last}" in by_id.err
    assert by_time.out == "got 1\ngot 2\n"


def test_a_consumer_that_is_gone_can_be_dropped_and_a_running_one_cannot(start, call, settings, url, execute) -> None:
    call(*ONCE, settings("tell"), "--name", "gone")
    start("worker", "--settings", "settings.py").until_said("delivering")
    database = ("--database-url", url)

    listed = call("consumers", "list", *database)
    names = [json.loads(line)["name"] for line in call("consumers", "list", "--json", *database).out.splitlines()]
    refused = call("consumers", "drop", "default", *database)
    unknown = call("consumers", "drop", "other", *database)

    assert "running" in listed.out
    assert names == ["default", "gone"]
    assert (refused.code, unknown.code) == (1, 2)
    assert "has a running worker" in refused.line
    assert call("consumers", "drop", "gone", *database).line == "dropped consumer gone"
    assert execute(url, "select name from pgevents.consumer", "select consumer from pgevents.share") == [("default",)]


def test_the_first_failure_is_told_within_a_second_with_its_text_and_place(start, settings, url, execute) -> None:
    """With the defaults the pauses grow: whoever stops the worker after a moment has seen the reason."""
    execute(url, "insert into note values (1), (2)")
    name = settings("fail_on_2")
    Path(name).write_text(re.sub("PG_EVENTS_(MAX|RETRY).*\n?", "", Path(name).read_text()))
    process = start("worker", "--from", "oldest", "--settings", name)
    process.until_said("delivering from")
    began = time.monotonic()

    said = process.until_said("KeyError: 2")

    assert time.monotonic() - began < 1
    assert re.search(
        r"WARNING.* hooks:fail_on_2 failed on event \d+ of note \(KeyError: 2; .*hooks\.py:\d+\), again in", said
    )
    process.send_signal(signal.SIGINT)
    end = process.answer()
    assert (end.code, "failed 0, retried 1" in end.err) == (130, True)
    assert re.search(r"the last failure: hooks:fail_on_2: KeyError: 2; .*hooks\.py:\d+", end.err)


def test_equal_failures_are_listed_once(call, settings, url, execute) -> None:
    execute(url, "create table other (id integer primary key)", "insert into note select generate_series(1, 5)")
    call(*ONCE, settings("fail_with_id"))
    execute(url, "insert into other values (7)")
    call(*ONCE, settings("fail"))
    database = ("--database-url", url)
    ids = [json.loads(line)["event_id"] for line in call("failed", "list", "--json", *database).out.splitlines()]

    groups = call("failed", "list", "--group", *database)
    as_json = call("failed", "list", "--group", "--json", *database)
    first = call("failed", "list", "--group", "--limit", "1", *database)

    assert groups.out.splitlines() == [
        f"5×  default  public.note  #{ids[0]} … #{ids[4]}  KeyError: 5",
        f"1×  default  public.other  #{ids[5]}  ValueError: ␛[31mno [/] \\u{{202e}} postgresql://bob:***@h/db",
    ]
    assert json.loads(as_json.out.splitlines()[0]) == {
        "consumer": "default", "table": "public.note", "error": "KeyError: 5", "first_id": ids[0], "last_id": ids[4], "events": 5,
    }  # fmt: skip
    assert first.out.splitlines() == groups.out.splitlines()[:1]
    assert first.err == "there are 1 more; see --limit and --where\n"
    assert call("failed", "list", "--group", "--where", "table:nothing", *database).line == "no failed events"


def test_all_failed_events_are_changed_page_by_page(call, settings, url, execute, monkeypatch) -> None:
    from pg_events.cli import failed

    monkeypatch.setattr(failed, "_PAGE", 2)
    execute(url, "insert into note select generate_series(1, 5)")
    call(*ONCE, settings("fail"))
    database = ("--database-url", url)

    retried = json.loads(call("failed", "retry", "--all", "--json", *database).out)["retried"]
    again = call("failed", "retry", "--all", *database)
    discarded = json.loads(call("failed", "discard", "--where", "new.id>1", "--json", *database).out)["discarded"]

    assert len({one["event_id"] for one in retried}) == 5
    assert again.line == "no such failed events"
    assert discarded == retried[1:]
