"""Records arriving events to a file while the console runs, and writes selected events to a file."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from pg_events.errors import PgEventsError, UsageError
from pg_events.event import Record
from pg_events.files import journal
from pg_events.files.journal import Header, Writer
from pg_events.filter.parser import Filter
from pg_events_tui.model.store import NOTE, Store, table_title

KINDS: Final = (".jsonl", ".jsonl.gz", ".csv", ".sql")


class Recorder:
    """Recording to a file, if one is active. `take` is called by the intake's thread, the rest by the console's."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._wanted: Filter | None = None
        self._lock = Lock()
        self.problem = ""
        """Reason why the recording stopped by itself; the console reports it once and clears it."""

    @property
    def path(self) -> Path | None:
        writer = self._writer
        return writer.path if writer else None

    @property
    def events(self) -> int:
        writer = self._writer
        return writer.events if writer else 0

    @property
    def size_bytes(self) -> int:
        path = self.path
        try:
            return path.stat().st_size if path else 0
        except OSError:
            return 0

    def start(self, path: str | Path, header: Header, wanted: Filter | None = None) -> None:
        """Start recording. Raises `UsageError` if the file exists or cannot be created."""
        with self._lock:
            if self._writer is None:
                self._wanted = wanted
                self._writer = Writer(Path(path).expanduser(), header)

    def take(self, records: Sequence[Record]) -> None:
        """Write a page. A full disk ends the recording, not the console."""
        with self._lock:
            if self._writer is None:
                return
            try:
                for record in records:
                    if self._wanted is None or self._wanted.matches(record):
                        self._writer.write(record.payload)
                self._writer.flush()
            except PgEventsError as error:
                self.problem = str(error)
                self._writer = None

    def stop(self) -> int:
        """Stop recording, and return the number of events. Raises `PgEventsError` if the end could not be written."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is None:
            return 0
        writer.close()
        return writer.events


def write(store: Store, rows: Sequence[int], path: str | Path, header: Header) -> int:
    """Write events to a new file in the format of its name, and return their number. Blocks.

    Raises `UsageError` if the file exists, cannot be created, or has an unknown ending.
    """
    target = Path(path).expanduser()
    if not target.name.endswith(KINDS):
        raise UsageError(f"{target.name} tells no form: the name must end in {', '.join(KINDS)}")
    journal.check_target(target)
    if target.name.endswith((".jsonl", ".jsonl.gz")):
        with Writer(target, header) as writer:
            for record in _records(store, rows):
                writer.write(record.payload)
            return writer.events
    spell = csv_line if target.suffix == ".csv" else sql_line
    count = 0
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            if target.suffix == ".csv":
                file.write(_csv(CSV_COLUMNS))
            for record in _records(store, rows):
                file.write(spell(record))
                count += 1
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    return count


def _records(store: Store, rows: Sequence[int]) -> Iterator[Record]:
    for row in rows:
        try:
            record = store.record(row)
        except IndexError:  # dropped meanwhile
            continue
        if record.kind != NOTE:
            yield record


CSV_COLUMNS: Final = (
    "id", "xid", "at", "op", "table", "session_user", "application_name", "old_data", "new_data", "ddl", "context", "query",
)  # fmt: skip


def _csv(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def csv_line(record: Record) -> str:
    """Format an event as CSV, with JSON in its cells."""
    table = table_title(record.table_schema, record.table_name)
    who = (record.session_user, record.application_name)
    rows = (record.old_data, record.new_data, record.ddl, record.context, record.query)
    return _csv([record.id, record.xid, record.at, record.kind, table, *who, *rows])


def sql_line(record: Record) -> str:
    """Format the client's statement after a comment about its origin; without a statement, only the comment."""
    table = table_title(record.table_schema, record.table_name)
    who = json.dumps(f"{record.session_user or ''} {record.application_name or ''}".strip())
    head = f"-- #{record.id} {record.at} {record.kind} {json.dumps(table)} by {who}\n"
    if record.query is None:
        return head + "-- the statement was not kept\n\n"
    return head + record.query.strip().removesuffix(";") + ";\n\n"


def new_file_problem(text: str) -> str:
    """Describe the error in the name of a file to create; empty if it is valid."""
    path = Path(text).expanduser()
    if not text.strip() or path.is_dir():
        return "give the name of a file"
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    try:
        journal.check_target(path)
    except PgEventsError as error:
        return str(error)
    return ""


def write_text(path: str | Path, text: str) -> str:
    """Write a new file with access for the user only. Returns the reason of a failure, else an empty text."""
    target = Path(path).expanduser()
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        return f"{target} cannot be written: {error.strerror}"
    return ""
