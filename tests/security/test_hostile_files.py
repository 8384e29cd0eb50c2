"""A log file that a stranger wrote takes bounded memory, however well it is compressed, and no odd value ends a command."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pg_events.files import journal
from tests.cli.conftest import COMMAND

PEAK = """
import resource, sys
from pg_events.files import journal

lines = sum(1 for _ in journal.read(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

HEAD = (
    '{"id": 1, "xid": 1, "at": "%s", "table_schema": "a", "table_name": "t", "session_user": "x", "method": "INSERT", '
)
AT = "2026-11-23T09:29:26+00:00"


def peak(path: Path) -> int:
    """Bytes of memory that reading the file takes at most."""
    answer = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    return int(answer.stdout)


@pytest.mark.parametrize("unit", ["{},", "[],", '"",', "0.1,", '{"a":0},', "null,"])
@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_a_line_of_many_small_values_takes_bounded_memory(tmp_path: Path, unit: str, name: str) -> None:
    small, large = tmp_path / f"small-{name}", tmp_path / name
    for path, size in ((small, 1), (large, 24_000_000)):
        line = HEAD % AT + '"new_data": {"v": [' + unit * (size // len(unit)) + "0]}}\n"
        content = (journal.Header("x").as_json() + "\n" + line).encode()
        path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)

    assert peak(large) - peak(small) < 10 * 24_000_000


def told(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *(str(path) if one == "LOG" else one for one in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("transaction", "1", "--log", "LOG"),
        ("history", "a.t", "1", "--log", "LOG"),
        ("replay", "LOG", "--plan", "--since", "5m"),
        ("replay", "LOG", "--plan", "--since", "14:00"),
        ("export", "/dev/null", "--log", "LOG", "--since", "5m"),
    ],
    ids=" ".join,
)
def test_a_time_out_of_range_is_one_line(tmp_path: Path, at: str, arguments: tuple[str, ...]) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{journal.Header("x").as_json()}\n{HEAD % at}"new_data": {{"id": 1}}}}\n')

    answer = told(path, *arguments)

    assert "Traceback" not in answer.stderr
    assert answer.returncode in (1, 2)
    assert "its time is out of range" in answer.stderr or "1 line of" in answer.stderr


def test_the_history_of_a_row_that_is_nested_deep_shows_its_event(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    deep = '{"id": 1, "v": ' + "[" * 6000 + "]" * 6000 + "}"
    path.write_text(f'{journal.Header("x").as_json()}\n{HEAD % AT}"new_data": {deep}}}\n')

    answer = told(path, "history", "a.t", "1", "--log", "LOG")

    assert answer.returncode == 0, answer.stderr
    assert "#1  INSERT  a.t" in answer.stdout
    assert "v: (nested too deeply to be shown, 12,000 characters)" in answer.stdout
    undone = told(path, "history", "a.t", "1", "--log", "LOG", "--undo", "1")
    assert 'delete from "a"."t"' in undone.stdout
    shown = told(path, "history", "a.t", "1", "--log", "LOG", "--at", "0s")
    assert shown.stdout.count("[") == 6000
    with pytest.raises(RecursionError):
        json.loads(shown.stdout)
