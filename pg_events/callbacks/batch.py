"""Batch callbacks: functions whose first parameter is annotated as a list, of payloads or of typed events."""

import re
import typing
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Final

from pg_events.callbacks.signatures import signature
from pg_events.errors import UsageError
from pg_events.event import parse

Payloads = str | Sequence[str]
"""Payload of one event, or those of a batch."""


class Items(Enum):
    """Items of the list that a batch callback takes."""

    PAYLOADS = auto()
    EVENTS = auto()


def items_of(function: Callable[..., object], where: str) -> Items | None:
    """Items of the list that the function takes; None if it takes single events.

    Raises `UsageError`, prefixed with `where`, for a list of something else.
    """
    try:
        parameters = [*signature(function).parameters.values()]
    except (TypeError, ValueError):
        return None
    item = _item(parameters[0].annotation) if parameters else None
    if item is None:
        return None
    if item in ("", "str"):
        return Items.PAYLOADS
    if item.rpartition(".")[2] in _EVENTS:
        return Items.EVENTS
    raise UsageError(f"{where} takes a list of {item}; annotate list[str] for payloads, or list[pg_events.DataEvent]")


_EVENTS: Final = ("Event", "DataEvent", "SchemaEvent", "ApplicationEvent")
_LIST: Final = re.compile(r"(?:\w+\.)*(?:list|List|Sequence)(?:\[(.*)\])?", re.DOTALL)


def _item(annotation: Any) -> str | None:
    """Name of the items of an annotated list; empty if it names none, None if the annotation is not a list."""
    if isinstance(annotation, str):
        match = _LIST.fullmatch(annotation.strip())
        return None if match is None else _first((match[1] or "").strip())
    origin = typing.get_origin(annotation)
    if annotation is list or annotation is Sequence:
        return ""
    if not (isinstance(origin, type) and issubclass(origin, Sequence)) or issubclass(origin, tuple):
        return None
    (item,) = typing.get_args(annotation)
    parts = typing.get_args(item) or (item,)  # of a union, any of its members
    return next((_first(part) if isinstance(part, str) else getattr(part, "__name__", str(part)) for part in parts), "")


def _first(item: str) -> str:
    """First member of a union that is written as text."""
    return (
        item.strip("'\"")
        .partition("|")[0]
        .strip()
        .removeprefix("Union[")
        .removeprefix("typing.Union[")
        .partition(",")[0]
    )


def argument(items: Items, payloads: Payloads) -> list[Any]:
    """List that a batch callback is called with; a single payload is a batch of one."""
    texts = [payloads] if isinstance(payloads, str) else [*payloads]
    return texts if items is Items.PAYLOADS else [parse(text) for text in texts]
