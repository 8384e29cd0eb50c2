"""`trace`: the tree of events that callbacks caused."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import click

from pg_events.cli.history import operation
from pg_events.cli.terminal import configure, say
from pg_events.config.settings import load
from pg_events.contexts.cause import Cause, cause_in
from pg_events.contexts.current import CAUSE
from pg_events.diff.changes import spelled
from pg_events.event import ApplicationEvent, DataEvent, Event, claims
from pg_events.filter.conditions import And, Column, Numbers
from pg_events.filter.parser import Filter
from pg_events.filter.values import Value
from pg_events.playback.source import LOG, Events, open_source
from pg_events.text import clean, counted, one_line, shorten

_MAX_EVENTS = 100_000
"""Maximum number of caused events that are read."""


@dataclass
class _Node:
    """Event, and the events that callbacks wrote because of it."""

    event: Event
    payload: str
    cause: Cause | None
    caused: "list[_Node]" = field(default_factory=list["_Node"])


def trace(settings: str | None, database_url: str | None, event_id: int, file: str | None, as_json: bool) -> int:
    """Show the tree of events and callbacks that an event belongs to, from its first cause."""
    chosen = load(settings, database_url, require_database=file is None)

    def events(wanted: Filter) -> Iterator[_Node]:
        source = open_source(file or LOG, chosen.database_url, wanted)
        return (_Node(event, payload, _cause(event)) for event, payload in Events(source).with_payloads())

    root = _by_id(events, event_id)
    if root is None:
        say(f"event {event_id} is not kept")
        return 1
    while root.cause is not None and root.cause.event_id < root.event.id:
        before = _by_id(events, root.cause.event_id)
        if before is None:
            break
        root = before
    size = _grow(root, events(Filter(And((_CAUSED, Numbers("id", ((root.event.id + 1, None),)))))))
    configure(sys.stdout, errors="backslashreplace")
    if as_json:
        for node, _ in _tree(root):
            click.echo(node.payload)
        return 0
    if root.cause is not None:
        say(f"event {root.cause.event_id}, which caused it through consumer {clean(root.cause.consumer)}, is not kept")
    for line in _lines(root, event_id):
        click.echo(clean(line))
    if size >= _MAX_EVENTS:
        say(f"only the first {counted(_MAX_EVENTS, 'caused event')} were read")
    return 0


_CAUSED = Column("ctx", (CAUSE, "event"), ">", (Value("0", "number"),))


def _cause(event: Event) -> Cause | None:
    context = event.context
    return None if context is None or isinstance(context, str) else cause_in(json.dumps(context, default=str))


def _by_id(events: Callable[[Filter], Iterator[_Node]], event_id: int) -> _Node | None:
    return next(events(Filter(Numbers("id", ((event_id, event_id),)))), None)


def _grow(root: _Node, caused: Iterator[_Node]) -> int:
    """Add the events to their causes; an event comes after its cause. Returns how many were read."""
    known, size = {root.event.id: root}, 0
    for node in caused:
        size += 1
        if node.cause is not None and (before := known.get(node.cause.event_id)) is not None:
            before.caused.append(node)
            known[node.event.id] = node
        if size >= _MAX_EVENTS:
            break
    return size


def _lines(root: _Node, marked: int) -> Iterator[str]:
    for node, lead in _tree(root):
        yield lead + _title(node) + ("  ←" if node.event.id == marked else "")


def _tree(root: _Node) -> Iterator[tuple[_Node, str]]:
    """Events depth first, each with the branches before it; not recursive, because a chain can be long."""
    waiting: list[tuple[_Node, str, str]] = [(root, "", "")]
    while waiting:
        node, lead, indent = waiting.pop()
        yield node, lead
        for child in reversed(node.caused):
            branch, below = ("└─ ", "   ") if child is node.caused[-1] else ("├─ ", "│  ")
            consumer = "" if child.cause is None else f"{one_line(child.cause.consumer)}: "
            waiting.append((child, f"{indent}{branch}{consumer}", indent + below))


def _title(node: _Node) -> str:
    event = node.event
    what, about = operation(event)
    who = " · ".join(filter(None, (event.session_user, event.application_name)))
    says = "" if node.cause is not None else claims(event)
    return "  ".join(filter(None, (f"#{event.id}", what, about, _key(event), f"tx {event.xid}", who, says)))


def _key(event: Event) -> str:
    """Column `id` of the row, or its first; the key of an application's event."""
    if isinstance(event, ApplicationEvent):
        return "" if event.key is None else f"key={event.key}"
    if not isinstance(event, DataEvent) or not event.row:
        return ""
    name = "id" if "id" in event.row else next(iter(event.row))
    return f"{name}={shorten(one_line(spelled(event.row[name])), 40)}"
