"""Replay: one event through the user's callback, in a process of its own."""

import json
import sys
from pathlib import Path

import pytest

from pg_events.event import replayed
from pg_events.settings import Settings

pytestmark = pytest.mark.timeout(90)

CALLBACKS = """
import json, os, subprocess, sys, threading
from pathlib import Path

HERE = Path(__file__).parent

def note(payload):
    (HERE / "payload").write_text(payload)
    print("to stdout [/] \\x1b[31m")
    print("to stderr", file=sys.stderr)
    return {"done": True}

async def later(payload):
    return json.loads(payload)["id"]

def fail(payload):
    return helper(json.loads(payload))

def helper(event):
    return event["new_data"]["paid_ref"]

def leave(payload):
    sys.exit(3)

def die(payload):
    os._exit(4)

def hang(payload):
    print("begun", flush=True)
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (HERE / "child").write_text(str(child.pid))
    threading.Event().wait()

def shout(payload):
    print("x" * 3_000_000)
"""


@pytest.fixture
def callbacks(tmp_path, monkeypatch):
    """Settings whose callback is a function of the module above."""
    (tmp_path / "shop_callbacks.py").write_text(CALLBACKS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return lambda name: Settings(data_update_callback=f"shop_callbacks.{name}")


async def replay(c):
    await c.press("r")
    assert "Replay this event?" in c.text()
    await c.press("y")
    await c.until(lambda: c.app.current_mode == "replay" and c.app.attempts)


async def finished(c):
    await c.until(lambda: c.app.attempts[-1].outcome != "running", 30)
    await c.tick()
    return c.app.attempts[-1]


def test_a_replay_that_goes_well_shows_time_result_and_output(console, make, callbacks, tmp_path):
    record = make.record(7)._replace(new_data='{"id": 7, "n": 1.10}')

    async def scenario(c):
        await replay(c)
        attempt = await finished(c)

        assert attempt.outcome == "ok"
        assert "ok" in c.cursor_line()
        for words in ("{'done': True}", "to stdout [/]", "to stderr"):
            assert words in c.text()
        assert "\x1b" not in c.text()
        told = (tmp_path / "payload").read_text()
        assert '"n": 1.10' in told
        assert json.loads(told)["replay"] == {"run": attempt.run, "attempt": 1}
        assert c.app.store.record(0) == record

    console(scenario, history=[record], settings=callbacks("note"))


def test_the_question_names_the_callback_and_what_cannot_be_undone(console, make, callbacks):
    async def scenario(c):
        await c.press("r")
        assert "shop_callbacks.note" in c.text()
        assert "#7 UPDATE public.orders" in c.text()
        assert "cannot be undone" in c.text()
        await c.press("r", "enter")
        await c.tick()
        assert c.app.attempts == []

    console(scenario, history=[make.record(7)], settings=callbacks("note"))


def test_a_failing_callback_shows_its_traceback_with_the_users_frames_only(console, make, callbacks):
    async def scenario(c):
        await replay(c)
        attempt = await finished(c)

        assert attempt.outcome == "failed"
        assert "ERR KeyError" in c.text()
        assert "in helper" in attempt.traceback
        assert "in fail" in attempt.traceback
        assert "child_program" not in attempt.traceback

        await c.press("r", "y")
        await c.until(lambda: len(c.app.attempts) == 2)
        again = await finished(c)
        assert (again.run, again.number) == (attempt.run, 2)

    console(scenario, history=[make.record(7)], settings=callbacks("fail"), size=(160, 45))


def test_a_hanging_callback_is_killed_with_what_it_started(console, make, callbacks, tmp_path):
    async def scenario(c):
        await replay(c)
        await c.until(lambda: b"begun" in c.app.attempts[-1].output, 30)
        await c.until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
        await c.tick()
        assert "running" in c.text()
        await c.press("x")
        attempt = await finished(c)

        assert attempt.outcome == "killed"
        assert "KILLED" in c.text()
        assert "begun" in c.text()

        def is_gone():
            try:
                stat = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat").read_text()
            except OSError:
                return True
            return stat.rpartition(")")[2].split()[0] == "Z"

        if Path("/proc").exists():
            await c.until(is_gone)

    console(scenario, history=[make.record(7)], settings=callbacks("hang"))


def test_a_hanging_callback_ends_by_itself_after_a_time(console, make, callbacks):
    async def scenario(c):
        await replay(c)
        attempt = await finished(c)
        assert attempt.outcome == "timeout"
        assert "TIMEOUT" in c.text()

    console(scenario, history=[make.record(7)], settings=callbacks("hang"), replay_seconds=2.0)


@pytest.mark.parametrize(("name", "outcome", "words"), [
    ("later", "ok", "7"),
    ("leave", "failed", "SystemExit"),
    ("die", "crashed", "exit code 4"),
    ("shout", "ok", "not kept"),
    ("nowhere", "failed", "has no 'nowhere'"),
])  # fmt: skip
def test_whatever_a_callback_does_the_console_tells_it(console, make, callbacks, name, outcome, words):
    async def scenario(c):
        await replay(c)
        attempt = await finished(c)

        assert attempt.outcome == outcome
        assert words in c.app.screen.query_one("#detail").text

    console(scenario, history=[make.record(7)], settings=callbacks(name))


def test_without_a_callback_the_key_says_why(console, make):
    async def scenario(c):
        await c.press("r")
        assert "--settings" in await c.toast("PG_EVENTS_DATA_UPDATE_CALLBACK is not set")
        assert "Replay this event?" not in c.text()

    console(scenario, history=[make.record(7)])


def test_a_schema_event_goes_to_the_other_callback(console, make, callbacks):
    async def scenario(c):
        await c.press("r")
        await c.toast("PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK is not set")

    console(scenario, history=[make.ddl(7)], settings=callbacks("note"))


def test_the_payload_of_a_replay_is_the_original_and_one_key_more(make):
    payload = make.record(7)._replace(new_data='{"id": 7, "n": 1.10}').payload

    copy = replayed(payload, "abc", 2)

    assert copy.startswith(payload[:-1])
    assert json.loads(copy) == json.loads(payload) | {"replay": {"run": "abc", "attempt": 2}}
