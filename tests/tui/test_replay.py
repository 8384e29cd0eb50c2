"""Replay: a queue of events through the user's callback, in a process of its own; every key of the screen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pg_events.files import journal
from pg_events.files.journal import Header, Writer
from pg_events.playback import runs
from pg_events_tui.model.backend import NoDatabase
from tests.tui.replaying import GOOD, SOME_FAIL, all_shown, ended, planned, real, shown, states

pytestmark = pytest.mark.timeout(90)

HANGS = """
import json, signal, subprocess, sys
from pathlib import Path

def on_order(payload):
    print("begun", flush=True)
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    Path(__file__).with_name("child").write_text(str(child.pid))
    signal.pause()
"""


# ---- the plan


def test_r_plans_and_calls_nothing(console, make, callbacks):
    async def scenario(c):
        replay = await planned(c)
        assert replay.stage == "plan"
        for words in ("PLAN", "event #7", "shop.handlers.on_order", "UPDATE public.orders", "cannot be undone"):
            assert words in c.text()
        for key in ("space", "full_stop", "r"):
            await c.press(key)
            await c.toast("this is the plan, nothing is called")
        await c.press("exclamation_mark", "exclamation_mark", "enter")
        assert not replay.is_real
        assert not replay.is_playing
        assert runs.kept() == []

    console(scenario, history=[make.record(7)], settings=callbacks(GOOD))


@pytest.mark.parametrize(("keys", "ids"), [
    (("4", "S", "e"), [7]), (("4", "S", "t"), [6, 7]), (("4", "S", "s"), [1, 2, 3, 4, 5, 6, 7]),
    (("k", "m", "k", "k", "m", "r", "enter"), [4, 6]), (("k", "m", "r", "e"), [6]),
])  # fmt: skip
def test_what_is_replayed_can_be_chosen(console, make, callbacks, keys, ids):
    async def scenario(c):
        replay = await planned(c, *keys)
        assert replay.queue.ids() == ids
        assert [json.loads(replay.queue.payload(row))["id"] for row in range(len(ids))] == ids

    console(scenario, history=shown(make), settings=callbacks(GOOD))


def test_a_file_can_be_replayed_and_narrowed(console, make, callbacks, tmp_path):
    path = tmp_path / "saved.jsonl"
    with Writer(path, Header("shop")) as writer:
        for record in shown(make):
            writer.write(record.payload)

    async def scenario(c):
        await c.press("4", "S", "p")
        c.app.screen.query_one("#ask-input").value = str(path)
        replay = await planned(c, "enter")
        assert replay.queue.ids() == [1, 2, 3, 4, 5, 6, 7]
        assert "saved.jsonl" in c.text()
        await c.press("slash")
        await c.type("id:")
        await c.shows("^")
        await c.type("4")
        await c.press("enter")
        await c.until(lambda: c.app.replays.current is not replay and c.app.replays.current.planned)
        await c.tick()
        assert c.app.replays.current.queue.ids() == [4]
        await real(c)
        done = await ended(c)
        assert next(done.kept.outcomes()).position == 5  # the line of the file: others find it
        assert (done.kept.asked.source, done.kept.asked.where) == (str(path), "id:4")

    console(scenario, settings=callbacks(GOOD))


def test_what_is_selected_in_a_saved_log_is_found_in_its_file(console, make, callbacks, tmp_path):
    path = tmp_path / "saved.jsonl"
    with Writer(path, Header("shop")) as writer:
        for record in shown(make):
            writer.write(record.payload)

    async def scenario(c):
        await c.shows("■ SAVED LOG")
        replay = await planned(c, "k", "m", "k", "m", "r", "m")
        assert replay.queue.ids() == [5, 6]
        assert replay.job.source == str(path)
        assert [one.event.id for one in journal.read(path)][4:6] == [5, 6]

    console(scenario, feed=path, backend=NoDatabase("saved.jsonl"), settings=callbacks(GOOD))


def test_without_a_callback_the_plan_says_so_and_t_names_one(console, make, callbacks):
    callbacks(GOOD)

    async def scenario(c):
        replay = await planned(c)
        assert "no callback" in c.text()
        await c.press("exclamation_mark")
        await c.toast("there is no callback to call")
        await c.press("t", "o")
        c.app.screen.query_one("#ask-input").value = "nonsense"
        await c.press("enter")
        assert "my_module.function" in c.text()
        c.app.screen.query_one("#ask-input").value = "shop.handlers.on_order"
        await c.press("enter")
        await real(c)
        await ended(c)
        assert states(replay) == "o"

    console(scenario, history=[make.record(7)])


def test_a_callback_that_needs_a_connection_is_refused_in_one_line(console, make, callbacks):
    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await ended(c)
        assert "shop.handlers:on_order takes a connection, which a replay does not provide" in c.text()
        assert states(replay) == "q"
        assert runs.kept() == []

    settings = callbacks("def on_order(payload, connection):\n    raise SystemExit")
    console(scenario, history=[make.record(7)], settings=settings)


def test_a_schema_event_goes_to_the_other_callback(console, make, callbacks):
    async def scenario(c):
        replay = await all_shown(c)
        assert replay.state(1) == "no callback"
        await real(c)
        await ended(c)
        assert states(replay) == "on"
        assert "no callback" in c.text()

    console(scenario, history=[make.record(6), make.ddl(7)], settings=callbacks(GOOD))


def test_reading_only_nothing_is_called(console, make, callbacks):
    async def scenario(c):
        await planned(c)
        await c.press("exclamation_mark")
        await c.toast("--read-only")
        assert not c.app.replays.current.is_real

    console(scenario, history=[make.record(7)], settings=callbacks(GOOD), read_only=True)


# ---- playing


def test_a_run_shows_what_became_of_each_and_is_kept(console, make, callbacks):
    record = make.record(7)._replace(new_data='{"id": 7, "n": 1.10}')

    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await ended(c)
        assert replay.stage == "done"
        for words in ("DONE", "ok", "{'id': 7}", "looking at 7", "1/1"):
            assert words in c.text()
        await c.press("d", "d")
        assert '"n": 1.10' in c.app.screen.query_one("#detail").text
        assert f'"run": "{replay.kept.run}"' in c.app.screen.query_one("#detail").text
        assert c.app.stream.store.record(0) == record
        assert [run.run for run in runs.kept()] == [replay.kept.run]
        assert replay.kept.asked.where == "id:7"

    console(scenario, history=[record], settings=callbacks(GOOD))


def test_it_stops_at_an_error_and_goes_on_when_told(console, make, callbacks):
    async def scenario(c):
        replay = await all_shown(c)
        await real(c)
        await ended(c)
        assert (replay.stage, states(replay)) == ("failed", "oofqqqq")
        for words in ("STOPPED on error", "ERR KeyError", "shop/handlers.py", "in post", "new = {"):
            assert words in c.text()
        assert "child_program" not in replay.outcome(2).traceback
        await c.press("space")
        await ended(c)
        assert [one.attempt for one in replay.attempts[2]] == [1, 2]
        await c.press("greater_than_sign", "space")
        await ended(c)
        assert (states(replay), replay.next_row) == ("oofoofq", 5)
        await c.press("greater_than_sign", "space")
        await ended(c)
        assert (states(replay), replay.stage) == ("oofoofo", "done")
        await c.press("space")
        await c.toast("all is done")
        assert replay.kept.sum().failed == 2

    console(scenario, history=shown(make), settings=callbacks(SOME_FAIL))


def test_it_can_go_on_at_errors_and_show_what_failed_only(console, make, callbacks):
    async def scenario(c):
        replay = await all_shown(c)
        await c.press("a")
        await real(c)
        await ended(c)
        assert states(replay) == "oofoofo"
        await c.press("f")
        await c.tick()
        assert c.app.screen.queue.count == 2
        await c.press("escape")
        await c.tick()
        assert c.app.screen.queue.count == 7

    console(scenario, history=shown(make), settings=callbacks(SOME_FAIL))


def test_step_back_skip_and_the_next_one(console, make, callbacks):
    async def scenario(c):
        replay = await all_shown(c)
        await real(c, "s")
        assert replay.stage == "ready"
        await c.press("full_stop", "full_stop")
        await c.until(lambda: replay.next_row == 2 and replay.stage == "paused", 30)
        await c.tick()
        assert (states(replay), "PAUSED" in c.text()) == ("ooqqqqq", True)
        await c.press("greater_than_sign", "full_stop")
        await c.until(lambda: replay.next_row == 4 and replay.stage == "paused", 30)
        assert states(replay) == "oosoqqq"
        await c.press("comma")
        await ended(c)
        assert replay.next_row == 3
        await c.press("full_stop")
        await c.until(lambda: len(replay.attempts[3]) == 2, 30)
        await c.press("x")
        await ended(c)
        await c.press("G", "p", "space")
        await ended(c)
        assert (states(replay), replay.stage) == ("oosoqqo", "done")

    console(scenario, history=shown(make), settings=callbacks(GOOD))


def test_pause_play_and_speed(console, make, callbacks):
    history = [
        make.record(1),
        make.record(2, at="2026-08-22T13:00:00+00:00"),
        make.record(3, at="2026-08-22T14:00:00+00:00"),
    ]

    async def scenario(c):
        replay = await all_shown(c, speed=1.0)
        c.app.replays.set_pace(replace(c.app.replays.pace, max_gap_seconds=600))
        await real(c)
        await c.until(lambda: replay.due_seconds is not None, 30)
        await c.shows("next in")
        await c.press("space")
        await c.until(lambda: replay.stage == "paused")
        await c.shows("PAUSED")
        await c.press("space", *["plus"] * 5)
        await ended(c)
        assert states(replay) == "ooo"
        assert "speed max" in c.text()
        await c.press("minus")
        await c.tick()
        assert "speed 100x" in c.text()

    console(scenario, history=history, settings=callbacks(GOOD))


def is_gone(folder: Path) -> bool:
    try:
        stat = Path(f"/proc/{(folder / 'child').read_text()}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_a_hanging_callback_is_killed_with_what_it_started(console, make, callbacks, tmp_path):
    folder = tmp_path / "code" / "shop"

    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await c.until(lambda: "begun" in replay.output and (folder / "child").exists(), 30)
        await c.shows("begun")
        assert "PLAYING" in c.text()
        await c.press("x")
        await c.shows("STOPPING")
        await c.press("j", "x")
        await ended(c)
        assert replay.outcome(0).error.startswith("Killed")
        assert "ERR Killed" in c.text()
        if Path("/proc").exists():
            await c.until(lambda: (folder / "child").read_text() and is_gone(folder))

    console(scenario, history=[make.record(7)], settings=callbacks(HANGS))


def test_a_callback_that_hangs_while_it_is_imported_is_killed(console, make, callbacks):
    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await c.until(lambda: "begun" in replay.output, 30)
        assert replay.stage == "starting"
        await c.press("x", "x")
        await ended(c)
        assert "SIGKILL" in replay.problem
        assert "SIGKILL" in c.text()

    console(
        scenario,
        history=[make.record(7)],
        settings=callbacks("import signal\nprint('begun', flush=True)\nsignal.pause()"),
    )


def test_leaving_the_console_leaves_no_callback_behind(console, make, callbacks, tmp_path):
    folder = tmp_path / "code" / "shop"

    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await c.until(lambda: "begun" in replay.output and (folder / "child").exists(), 30)
        c.app.stop()
        await c.until(lambda: not replay.is_playing, 30)
        if Path("/proc").exists():
            await c.until(lambda: is_gone(folder))

    console(scenario, history=[make.record(7)], settings=callbacks(HANGS))


@pytest.mark.parametrize(("body", "error"), [
    ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("import os; os._exit(4)", "Crashed: its process ended with exit code 4"),
    ("print('[/] \\x1b[31m'); raise ValueError('[bold]')", "ValueError: [bold]"),
])  # fmt: skip
def test_whatever_a_callback_does_the_console_tells_it(console, make, callbacks, body, error):
    async def scenario(c):
        replay = await all_shown(c)
        await c.press("a")
        await real(c)
        await ended(c)
        assert states(replay) == "ff"
        assert replay.outcome(0).error.startswith(error)
        assert error in c.app.screen.query_one("#detail").text
        assert "\x1b" not in c.text()

    console(scenario, history=shown(make, 2), settings=callbacks(f"def on_order(payload):\n    {body}"))


def test_a_time_limit_of_the_settings_holds(console, make, callbacks):
    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await ended(c)
        assert replay.outcome(0).error.startswith("TimeoutError")

    console(scenario, history=[make.record(7)], settings=callbacks(HANGS, callback_timeout_seconds=1.0))


def test_a_callback_that_cannot_be_found_is_told_and_nothing_is_kept(console, make, callbacks):
    async def scenario(c):
        replay = await planned(c)
        await real(c)
        await ended(c)
        assert "has no 'on_order'" in replay.problem
        assert "has no 'on_order'" in c.text()
        assert runs.kept() == []

    console(scenario, history=[make.record(7)], settings=callbacks("x = 1"))
