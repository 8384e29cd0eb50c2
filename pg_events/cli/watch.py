"""`--watch`: repeat an action whenever a Python file of the project is saved."""

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from pg_events.cli.terminal import end_line, say
from pg_events.errors import PgEventsError, UsageError
from pg_events.text import one_line

_SETTLE_MILLISECONDS: Final = 100
"""Time without a further change after which a save is complete, because an editor saves in several steps."""

_LOOK_MILLISECONDS: Final = 200


def rerun(work: Callable[[], int]) -> int:
    """Run the action now and after each save, until Ctrl-C; a user error is reported, and the next save awaited.

    Raises `UsageError` if the package that watches files is not installed.
    """
    code = 0
    saves = _saves(project())
    try:
        next(saves)  # from here on no save is missed
        while True:
            try:
                code = work()
            except PgEventsError as error:
                code = error.exit_code
                say(f"pg_events: {error}")
            say("waiting for a save of a Python file; Ctrl-C ends")
            say(f"{one_line(os.path.relpath(next(saves)))} was saved")
    except KeyboardInterrupt:
        end_line()
        return code


def project() -> list[Path]:
    """Current directory and, if different, that of the settings, as put first by `settings.load`."""
    here = Path.cwd()
    first = Path(sys.path[0]) if sys.path else here
    return [here] if first == here or here in first.parents else [first, here]


def _saves(folders: list[Path]) -> Generator[str]:
    """Yield an empty name once the folders are watched, then the first of the files of each save."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as error:
        raise UsageError('--watch needs an extra package: pip install "pg_events[watch]"') from error

    class OfProject(PythonFilter):
        ignore_dirs = (*PythonFilter.ignore_dirs, "venv", "site-packages")

    changes = watch(
        *folders,
        watch_filter=OfProject(),
        step=_SETTLE_MILLISECONDS,
        rust_timeout=_LOOK_MILLISECONDS,
        yield_on_timeout=True,
    )
    next(changes)
    yield ""
    yield from (min(path for _, path in found) for found in changes if found)
