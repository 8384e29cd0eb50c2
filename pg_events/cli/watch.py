"""`--watch`: repeat an action whenever a Python file of the project is saved."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pg_events.cli.terminal import end_line, say
from pg_events.errors import PgEventsError
from pg_events.text import counted, one_line

_LOOK_SECONDS: Final = 0.2
_MAX_FILES: Final = 20_000
_NOT_OURS: Final = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})

State = Mapping[str, int]
"""Modification time in nanoseconds, by file."""


def rerun(work: Callable[[], int]) -> int:
    """Run the action now and after each save, until Ctrl-C; a user error is reported, and the next save awaited."""
    code = 0
    folders = project()
    try:
        while True:
            before = state(folders)
            try:
                code = work()
            except PgEventsError as error:
                code = error.exit_code
                say(f"pg_events: {error}")
            say(f"waiting for a save; {counted(len(before), 'file')} watched, Ctrl-C ends")
            changed = wait_for_change(before, folders)
            say(f"{one_line(os.path.relpath(changed))} was saved")
    except KeyboardInterrupt:
        end_line()
        return code


def wait_for_change(before: State, folders: list[Path]) -> str:
    """Wait for a change; return the changed file."""
    while True:
        now = state(folders)
        changed = [name for name in {**now, **before} if now.get(name) != before.get(name)]
        if changed:
            _settle(now, folders)
            return min(changed)
        time.sleep(_LOOK_SECONDS)


def _settle(seen: State, folders: list[Path]) -> None:
    """Wait until nothing changes any more, because an editor saves in several steps."""
    while True:
        time.sleep(_LOOK_SECONDS / 2)
        now = state(folders)
        if now == seen:
            return
        seen = now


def project() -> list[Path]:
    """Current directory and, if different, that of the settings, as put first by `settings.load`."""
    here = Path.cwd()
    first = Path(sys.path[0]) if sys.path else here
    return [here] if first == here or here in first.parents else [first, here]


def state(folders: list[Path]) -> State:
    """State of every Python file below the folders, except hidden and installed ones."""
    found: dict[str, int] = {}
    for folder in folders:
        for name in _files(folder):
            try:
                found[name] = os.stat(name).st_mtime_ns  # noqa: PTH116 - thousands of them, five times a second
            except OSError:
                continue
            if len(found) >= _MAX_FILES:
                return found
    return found


def _files(folder: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in _NOT_OURS and not _is_environment(directory, name)
        ]
        yield from (os.path.join(directory, name) for name in names if name.endswith(".py"))  # noqa: PTH118


def _is_environment(directory: str, name: str) -> bool:
    return os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))  # noqa: PTH110, PTH118
