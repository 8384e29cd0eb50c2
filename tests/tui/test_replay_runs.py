"""Replay once more: what failed, an edited copy, a run that was kept; and two runs beside each other."""

import contextlib
import json
import os
import subprocess
import sys

import pytest

from pg_events.files.journal import Header, Writer
from pg_events.playback import runs
from pg_events.playback.source import LOG
from pg_events_tui.model.backend import NoDatabase
from tests.tui.replaying import GOOD, SOME_FAIL, all_shown, ended, planned, real, shown, states

pytestmark = pytest.mark.timeout(90)

# ---- again


def test_what_failed_is_run_again_with_the_mended_code(console, make, callbacks):
    async def scenario(c):
        replay = await all_shown(c)
        await c.press("a")
        await real(c)
        await ended(c)
        callbacks(GOOD)
        await c.press("A")
        await c.until(lambda: len(replay.attempts[5]) == 2, 30)
        await ended(c)
        assert states(replay) == "ooooooo"
        assert [len(replay.attempts[row]) for row in range(7)] == [1, 1, 2, 1, 1, 2, 1]
        await c.press("g", "r")
        await c.until(lambda: len(replay.attempts[0]) == 2, 30)
        await ended(c)
        assert replay.outcome(0).returned == "{'id': 1}"
        await c.press("A")
        await c.toast("nothing failed")

    console(scenario, history=shown(make), settings=callbacks(SOME_FAIL))


def test_two_runs_are_compared(console, make, callbacks):
    async def scenario(c):
        replay = await all_shown(c)
        await c.press("a")
        await real(c)
        await ended(c)
        first = replay.kept.run
        callbacks(SOME_FAIL.replace("% 3", "% 2"))
        await real(c)
        await ended(c)
        assert replay.kept.run != first
        assert [replay.change(row) for row in range(7)] == [
            "", "fails now", "works now", "fails now", "", "fails still", ""
        ]  # fmt: skip
        await c.press("c")
        await c.shows(first)
        await c.press("enter")
        await c.until(lambda: c.app.screen.choices.face == 4)
        await c.tick()
        assert f"in run {first}" in c.app.screen.query_one("#detail").text

    console(scenario, history=shown(make), settings=callbacks(SOME_FAIL))


def test_is_edited_shows_what_has_an_edited_copy_or_was_replayed_as_one(console, make, callbacks, tmp_path):
    def shown_ids(c):
        return [c.app.stream.store.id(c.app.stream.live.row(index)) for index in range(len(c.app.stream.live))]

    async def first(c):
        await c.burst("/", *"is:edited", "enter")
        await c.tick()
        assert shown_ids(c) == []
        await c.burst("F")
        replay = await all_shown(c)
        replay.edit(2, replay.queue.payload(2).replace("112", "113"))
        replay.edit(4, replay.queue.payload(4).replace("112", "113"))
        await c.press("1", "F")
        await c.until(lambda: shown_ids(c) == [3, 5])

        replay.edit(4, replay.queue.payload(4))
        await c.until(lambda: shown_ids(c) == [3])
        await c.press("4")
        await real(c)
        await ended(c)
        await c.press("1", "r")
        await c.until(lambda: c.app.replays.current is not replay and c.app.replays.current.planned)
        assert c.app.replays.current.queue.ids() == [3]
        await c.press("1")
        await c.tick()
        assert shown_ids(c) == [3]
        c.app.exit(0)

    async def second(c):
        await c.press("1")
        await c.until(lambda: shown_ids(c) == [3])  # as it was left
        await c.burst("/", "ctrl+u", *"-is:edited", "enter")
        await c.until(lambda: shown_ids(c) == [1, 2, 4, 5, 6, 7])
        await c.burst("/", "ctrl+u", *"is:edited op:U", "enter")
        await c.until(lambda: shown_ids(c) == [3])
        assert (await all_shown(c)).queue.ids() == [3]

    settings, path = callbacks(GOOD), tmp_path / "state.json"
    console(first, history=shown(make), settings=settings, state_path=path)
    console(second, history=shown(make), settings=settings, state_path=path)


def test_edited_copies_of_another_database_do_not_count(console, make, callbacks, tmp_path):
    for database, source in (("other@db", LOG), (None, "/some/file.jsonl")):
        recorder = runs.Recorder.begin(runs.Asked(source, database=database))
        recorder.add(runs.Outcome(1, 1, "UPDATE public.orders", True, 1.0, edited=True))
        recorder.close()

    async def scenario(c):
        assert c.app.replays.origins.edited_ids() == frozenset()

    async def saved(c):
        assert c.app.replays.origins.edited_ids() == {5}

    console(scenario, history=shown(make), settings=callbacks(GOOD))

    path = tmp_path / "saved.jsonl"
    with Writer(path, Header("shop")) as writer:
        for record in shown(make):
            writer.write(record.payload)
    recorder = runs.Recorder.begin(runs.Asked(str(path)))
    recorder.add(runs.Outcome(6, 5, "UPDATE public.orders", True, 1.0, edited=True))
    recorder.add(runs.Outcome(7, 6, "UPDATE public.orders", True, 1.0, returned='"edited": true'))
    recorder.close()
    console(saved, feed=path, backend=NoDatabase("saved.jsonl"))


def test_an_edited_copy_is_run_and_the_original_stays(console, make, callbacks, tmp_path, monkeypatch):
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import sys, pathlib\np = pathlib.Path(sys.argv[1])\np.write_text(p.read_text().replace('112', '113'))"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")

    async def scenario(c):
        monkeypatch.setattr(c.app, "suspend", contextlib.nullcontext)
        replay = await planned(c)
        original = replay.queue.payload(0)
        await c.press("e")
        await c.tick()
        for words in ("(edited)", "~ new_data", "112", "113"):
            assert words in c.text()
        await real(c)
        await ended(c)
        assert replay.outcome(0).edited
        assert replay.outcome(0).returned == "113"
        assert replay.queue.payload(0) == original
        editor.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text('nonsense')")
        await c.press("e")
        await c.toast("that is no payload")
        assert json.loads(replay.edited[0])["new_data"]["total"] == 113

    console(scenario, history=[make.record(7)],
            settings=callbacks("import json\ndef on_order(payload): return json.loads(payload)['new_data']['total']"))  # fmt: skip


# ---- runs that were kept


def test_a_kept_run_is_opened_and_gone_on_with(console, make, callbacks, tmp_path):
    path = tmp_path / "saved.jsonl"
    with Writer(path, Header("shop")) as writer:
        for record in shown(make):
            writer.write(record.payload)
    settings = callbacks(SOME_FAIL)
    command = [sys.executable, "-m", "pg_events", "replay", str(path), "--callback", "shop.handlers.on_order"]
    told = subprocess.run(command, cwd=tmp_path / "code", capture_output=True, env=os.environ, check=False)
    assert told.returncode == 1, told.stderr

    async def scenario(c):
        await c.press("4", "v")
        await c.shows("saved.jsonl")
        replay = await planned(c, "enter")
        assert (replay.stage, states(replay), replay.next_row) == ("kept", "oofqqqq", 2)
        assert "KEPT RUN" in c.text()
        assert "ERR KeyError" in c.text()
        await c.press("space")
        await c.toast("nothing is called")
        callbacks(GOOD)
        await real(c)
        await ended(c)
        assert states(replay) == "ooooooo"
        assert replay.kept.sum().state == "complete"
        assert len(runs.kept()) == 1

    console(scenario, settings=settings)


def test_of_a_kept_run_whose_file_is_gone_the_results_are_left(console, make, callbacks, tmp_path):
    path = tmp_path / "saved.jsonl"
    with Writer(path, Header("shop")) as writer:
        writer.write(make.record(1).payload)

    async def scenario(c):
        await c.press("4", "S", "p")
        c.app.screen.query_one("#ask-input").value = str(path)
        await planned(c, "enter")
        await real(c)
        done = await ended(c)
        path.unlink()
        await c.press("v")
        await c.shows("saved.jsonl")
        await c.press("enter")
        await c.until(lambda: c.app.replays.current is not done and c.app.replays.current.planned)
        await c.tick()
        assert "its events are not there any more" in c.text()
        assert states(c.app.replays.current) == "o"
        await c.press("r")
        await c.toast("not there any more")

    console(scenario, settings=callbacks(GOOD))
