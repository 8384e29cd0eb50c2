"""What `replay` and `runs` look like on a terminal of 80 columns; what times mean in a saved log."""

import json
from pathlib import Path

import pytest

import pg_events
from pg_events.event import Record
from pg_events.files import journal
from pg_events.playback import runs


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Three events, the last of which fails; a callback that prints."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("handlers.py").write_text(
        "import pg_events\n"
        "def data(payload):\n"
        "    event = pg_events.parse(payload)\n"
        "    print('got', event.id)\n"
        "    assert event.id != 3, 'no three please'\n"
    )
    with journal.Writer("log.jsonl", journal.Header("shop")) as writer:
        for number in (1, 2, 3):
            row = f'{{"id":{number}}}'
            at = f"2026-08-22T12:00:0{number}+00:00"
            event = Record(number, 7, at, "I", "public", "note", "app", "shop", None, None, row, None)
            writer.write(event.payload)
    return "log.jsonl"


def test_nothing_of_the_bar_stands_between_what_is_told(in_terminal, log) -> None:
    terminal = in_terminal("replay", log, "--callback", "handlers.data")

    assert terminal.end() == 1
    lines = [line for line in terminal.screen if line]
    assert lines[:3] == ["got 1", "got 2", "got 3"]
    assert lines[3] == "#3 INSERT public.note failed: AssertionError: no three please"
    assert lines[5].startswith('  File "')
    assert lines[5].endswith('handlers.py", line 5, in data')
    assert "━" not in "".join(lines)


def test_what_a_callback_prints_goes_to_stdout_though_a_bar_is_shown(in_terminal, log) -> None:
    with Path("printed").open("w") as stdout:
        terminal = in_terminal("replay", log, "--callback", "handlers.data", stdout=stdout)

        assert terminal.end() == 1

    assert Path("printed").read_text() == "got 1\ngot 2\ngot 3\n"
    assert "got" not in terminal.raw


def test_the_command_that_goes_on_can_be_copied_whole(in_terminal, log) -> None:
    terminal = in_terminal("replay", log, "--callback", "handlers.data")

    terminal.end()
    assert f"  pg_events replay --resume {runs.find('last').run}" in terminal.screen


def test_the_list_of_runs_shows_their_whole_names(in_terminal, call, log) -> None:
    call("replay", log, "--callback", "handlers.data")

    terminal = in_terminal("runs", "list")

    assert terminal.end() == 0
    header, line, *_ = terminal.screen
    assert header.split() == ["run", "events", "failed", "state", "source", "into"]
    assert line.split()[:5] == [runs.find("last").run, "3", "1", "stopped", "log.jsonl"]


def test_a_plan_of_nothing_is_no_empty_table(call, log) -> None:
    answer = call("replay", log, "--plan", "--callback", "handlers.data", "--where", "pk:4")

    assert answer.out == "0 events; nothing was called\n"


@pytest.mark.parametrize(
    ("question", "ids"),
    [
        (("--since", "1s"), [2, 3]),
        (("--where", "at:12:00:02Z"), [2]),
        (("--until", "12:00:02Z", "--since", "5m"), [1]),
    ],
)
def test_ago_counts_from_the_newest_event_of_a_saved_log(call, log, question, ids) -> None:
    assert call("export", "out.jsonl", "--log", log, *question).code == 0

    assert [line.event.id for line in journal.read("out.jsonl")] == ids


def test_every_command_and_the_library_count_so(call, log) -> None:
    answer = call("replay", log, "--callback", "builtins.str", "--since", "1s", "--json")
    assert json.loads(answer.out)["events"] == 2
    assert runs.find("last").asked.where == "since:2026-08-22T12:00:02+00:00"
    assert call("history", "note", "3", "--at", "0s", "--log", log).out == '{\n  "id": 3\n}\n'
    assert call("history", "note", "3", "--at", "1s", "--log", log).err == "there was no such row\n"
    assert [event.id for event in pg_events.read(log, where="since:1s")] == [2, 3]
    assert pg_events.replay(log, str, since="1s").events == 2
