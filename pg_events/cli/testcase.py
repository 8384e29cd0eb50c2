"""`export --pytest`: captured events as the fixture of a test that feeds them to a callback."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pg_events.callbacks.callback import Callback
from pg_events.cli.terminal import say
from pg_events.config.settings import Settings
from pg_events.errors import PgEventsError, UsageError
from pg_events.playback.source import Item
from pg_events.playback.targets import Routes, chosen, resolved
from pg_events.text import counted, one_line


@dataclass(frozen=True)
class Testcase:
    """A test to be written."""

    path: Path
    fixture: Path
    """The saved log it reads, in the same folder."""
    callbacks: Sequence[Callback]
    routes: Routes

    @classmethod
    def planned(cls, path: Path, file: str | None, settings: Settings, callback: str | None) -> Self:
        """Raises `UsageError` when the test cannot be written like that."""
        if path.suffix != ".py" or not path.stem.startswith("test_") or not path.stem.isidentifier():
            raise UsageError(
                f"--pytest takes a file that pytest finds, such as tests/test_orders.py; not {one_line(str(path))}"
            )
        fixture = Path(file) if file is not None else path.with_suffix(".jsonl")
        if fixture.absolute().parent != path.absolute().parent:
            raise UsageError(
                f"the test looks for its events beside itself: leave FILE out, or name {path.with_suffix('.jsonl')}"
            )
        found, routes = chosen(settings, callback)
        return cls(path, fixture, resolved(found), routes)

    def write(self, items: Sequence[Item]) -> None:
        """Write it, for those callbacks that get any of the events."""
        numbers = dict.fromkeys(number for item in items if (number := self.routes.of(item)) is not None)
        if not numbers:
            raise PgEventsError("no test was written: none of the events goes to a callback")
        text = _HEAD.format(
            fixture=json.dumps(self.fixture.name),
            imports="\n".join(_import(self.callbacks[number]) for number in numbers),
            asyncio="import asyncio\n" if any(self.callbacks[number].is_async for number in numbers) else "",
        ) + "".join(self._test(number) for number in numbers)
        try:
            self.path.write_text(text, "utf-8")
        except OSError as error:
            raise PgEventsError(f"{one_line(str(self.path))} cannot be written: {error.strerror}") from error
        say(f"{counted(len(items), 'event')} in a test; run it: python -m pytest {one_line(str(self.path))}")

    def _test(self, number: int) -> str:
        one = self.callbacks[number]
        is_of = {self.routes.data: "DataEvent", self.routes.schema: "SchemaEvent"}[number]
        every = self.routes.data == self.routes.schema
        call = f"{_called(one)}(payload)"
        return _TEST.format(
            name=re.sub(r"\W", "_", one.name.partition(":")[2]).strip("_").lower(),
            events="EVENTS" if every else f"[one for one in EVENTS if isinstance(one.event, pg_events.{is_of})]",
            call=f"asyncio.run({call})" if one.is_async else call,
        )


def _import(callback: Callback) -> str:
    module, _, path = callback.name.partition(":")
    return f"from {module} import {path.partition('.')[0]}"


def _called(callback: Callback) -> str:
    return callback.name.partition(":")[2]


_HEAD = '''"""Captured events into a callback. Written by pg_events export --pytest, and yours from here on."""

{asyncio}from pathlib import Path

import pg_events
import pytest
from pg_events.files import journal

{imports}

EVENTS = list(journal.read(Path(__file__).with_name({fixture})))


def what(line: journal.Line) -> str:
    """`7-UPDATE-orders`: which event it was when a test fails."""
    event = line.event
    is_data = isinstance(event, pg_events.DataEvent)
    return "-".join([str(event.id), *((event.method, event.table_name) if is_data else event.command_tag.split())])
'''

_TEST = """

@pytest.mark.parametrize("line", {events}, ids=what)
def test_{name}(line: journal.Line) -> None:
    payload = line.payload  # what the callback got then; line.event is the same with attributes

    {call}

    # assert here what should have come of it
"""
