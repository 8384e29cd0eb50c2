"""`export`: write the kept events to a file, optionally masked, and a test that feeds them to a callback."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from pg_events.cli.recording import header_of, kept, recording
from pg_events.cli.terminal import say
from pg_events.config.settings import Settings, load
from pg_events.errors import UsageError
from pg_events.event import BROKEN
from pg_events.files import journal
from pg_events.files.journal import Header
from pg_events.files.redaction import Redaction
from pg_events.filter import parser as filters
from pg_events.filter.parser import Filter
from pg_events.log.listener import Listener
from pg_events.playback.source import LOG, FileSource, asked_of
from pg_events.text import clean, counted


def export(
    settings: str | None,
    database_url: str | None,
    file: str | None,
    where: str,
    since: str | None,
    until: str | None,
    saved: str | None,
    redact: tuple[str, ...],
    test: str | None,
    callback: str | None,
    overwrite: bool,
) -> int:
    """Write the kept events to FILE: .jsonl, or compressed .jsonl.gz."""
    wanted = asked_of(saved or LOG, where, since, until)
    chosen = load(settings, database_url, require_database=saved is None)
    masks = Redaction(redact) if redact else None
    if test is None:
        if file is None:
            raise UsageError("name the file to write: log.jsonl (help: pg_events export --help)")
        if Path(file).suffix.lower() in (".csv", ".tsv", ".sql", ".parquet", ".xlsx"):
            raise UsageError(f"{clean(file)}: the output is JSON Lines; name it .jsonl or .jsonl.gz")
        return _write(chosen, saved, wanted, file, overwrite, masks)
    from pg_events.cli.testcase import Testcase

    case = Testcase.planned(Path(test), file, chosen, callback)
    if not overwrite:
        journal.check_target(case.path)
    code = _write(chosen, saved, wanted, str(case.fixture), overwrite, masks)
    case.write(list(FileSource(case.fixture, filters.parse("")).items()))
    return code


def _write(
    chosen: Settings, saved: str | None, wanted: Filter, file: str, overwrite: bool, masks: Redaction | None
) -> int:
    with _events(chosen, saved, wanted) as (header, payloads, bad_lines):
        if masks is not None:
            header = replace(header, redacted=(*header.redacted, *masks.patterns))
        with recording(header, file, overwrite) as writer:
            for payload in payloads:
                writer.write(payload if masks is None else masks(payload))
        bad = bad_lines()
    if bad:
        say(f"{counted(bad, 'line' if saved else 'event')} of {saved or 'the log'} could not be read")
    unused = masks.unused if masks is not None else []
    for pattern in unused:
        say(f"--redact {pattern} masked nothing{'' if pattern[0] == '/' else ': check the spelling of the column'}")
    return 1 if bad or unused else 0


@contextmanager
def _events(
    chosen: Settings, saved: str | None, wanted: Filter
) -> Generator[tuple[Header, Iterator[str], Callable[[], int]]]:
    """Open the source; yields its description, the payloads, and a function that counts unreadable lines."""
    if saved is None:
        assert chosen.database_url is not None
        with Listener(chosen.database_url, application_name="pg_events export", wake_up=False) as listener:
            broken = count()
            payloads = (
                record.payload for record in kept(listener, wanted) if record.kind != BROKEN or next(broken) < 0
            )
            yield header_of(listener), payloads, lambda: next(broken)
        return
    source = FileSource(saved, wanted)
    yield source.header(), (item.payload for item in source.items()), lambda: source.bad_lines
