"""`runs prune`: old replays go, and nothing else does."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from pg_events.playback import runs
from pg_events.playback.runs import Asked, Recorder


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "pg_events" / "runs"


def a_run(hours_ago: float) -> Path:
    recorder = Recorder.begin(Asked("log"))
    recorder.close()
    moment = time.time() - hours_ago * 3600
    os.utime(recorder.path, (moment, moment))
    return recorder.path


def test_old_runs_go_and_young_ones_and_other_files_stay(call, folder: Path) -> None:
    old, young = a_run(hours_ago=49), a_run(hours_ago=47)
    other = folder / "notes.jsonl"
    other.write_text("{}\n")
    os.utime(other, (0, 0))

    answer = call("runs", "prune", "--keep", "2d")

    assert answer.code == 0
    assert answer.line == "deleted 1 run older than 2d, 224 B"
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def test_a_run_that_was_taken_up_again_is_as_old_as_its_last_line() -> None:
    path = a_run(hours_ago=49)
    again = Recorder.resume(runs.kept()[0])
    again.end(runs.Sum(0, 0, 0, 0, 0.0))
    again.close()

    assert runs.prune(timedelta(days=2)) == (0, 0)
    assert path.exists()


@pytest.mark.parametrize("age", ["", "2", "forever", "-1d"])
def test_an_age_that_is_none_deletes_nothing(call, age: str) -> None:
    path = a_run(hours_ago=10_000)

    answer = call("runs", "prune", f"--keep={age}")

    assert answer.code == 2
    assert "--keep must be an age" in answer.line
    assert path.exists()
