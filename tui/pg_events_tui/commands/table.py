"""Commands typed after `:`, in one table: the source of parsing, completion, help and palette. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

from pg_events.errors import UsageError
from pg_events.playback.source import LOG
from pg_events_tui.commands.completion import Completion, matching
from pg_events_tui.replay.callback_names import name_problem
from pg_events_tui.replay.lines import SPEEDS

SELECTORS: Final = {
    "@shown": "what the list shows",
    "@marked": "what is marked",
    "@focus": "the selected event",
    "@tx": "its transaction",
    "@all": "all that is kept here",
}
REPLAYED: Final = {**SELECTORS, "@failed": "what workers gave up", LOG: "the whole log"}
"""Selectors of events to replay; everything else is a file."""
FORMS: Final = ("jsonl", "csv", "sql")
SPEED_WORDS: Final = {("max" if speed is None else f"{speed:g}x"): speed for speed in SPEEDS}
CHOICES: Final = {
    "selector": tuple(SELECTORS),
    "form": FORMS,
    "onoff": ("on", "off"),
    "mode": ("plan", "real"),
    "speed": tuple(SPEED_WORDS),
}
"""Kinds with a fixed set of values."""


@dataclass(frozen=True, slots=True)
class Command:
    """Command of the console."""

    name: str
    """Name of one or two words."""
    takes: tuple[str, ...]
    """Kinds of the arguments, in order.

    `?` marks an optional argument, `…` takes the rest of the line, and `to callback?` follows the word `to`.
    """
    help: str

    @property
    def usage(self) -> str:
        return " ".join([self.name, *(_part(told).usage for told in self.takes)])

    @property
    def needs(self) -> bool:
        """True if the command requires an argument."""
        return any(not kind.endswith("?") for kind in self.takes)


class Part(NamedTuple):
    """Argument of a command."""

    lead: str
    """Word before the argument; empty if there is none."""
    kind: str
    is_optional: bool
    takes_rest: bool

    @property
    def usage(self) -> str:
        word = _SPELT.get(self.kind, self.kind.upper())
        if self.kind in ("form", "onoff", "mode"):
            word = "|".join(CHOICES[self.kind])
        word = f"{self.lead} {word}" if self.lead else word
        return f"[{word}]" if self.is_optional else word

    def is_left_out(self, word: str) -> bool:
        """Return True if the word belongs to a later argument."""
        if not self.is_optional or not word:
            return False
        return word != self.lead if self.lead else word not in CHOICES.get(self.kind, (word,))


_SPELT: Final = {
    "selector": "@shown",
    "events": "@shown|FILE",
    "speed": "2x",
    "tables": "TABLE…",
    "kept": "NAME",
    "database": "NAME",
    "theme": "NAME",
}


def _part(told: str) -> Part:
    lead, _, kind = told.rpartition(" ")
    return Part(lead, kind.rstrip("?…"), told.endswith("?"), "…" in told)


COMMANDS: Final = (
    Command("open", ("path",), "Open a saved log; q leads back."),
    Command("write", ("form?", "selector", "path"), "Write events to a file; its ending tells the form."),
    Command(
        "replay",
        ("events", "to callback?", "mode?", "speed speed?"),
        "Plan a replay; nothing is called yet. With real, ask at once.",
    ),
    Command("record start", ("path", "filter…?"), "Record what arrives to a file; with a filter, what matches."),
    Command("record stop", (), "End the recording."),
    Command("goto", ("place…",), "Go to a time (14:01:07, 5m) or an event (#184220)."),
    Command("filter save", ("kept",), "Keep the filter of this list under a name."),
    Command("filter", ("kept",), "Show what matches a filter that was kept."),
    Command("filter forget", ("kept",), "Forget a filter that was kept."),
    Command("columns", ("columns…?",), "Show these columns, in this order; without any, those that fit."),
    Command("plan", ("tables…?",), "Plan the build for tables, names or globs, or for all; nothing is done yet."),
    Command("db", ("database",), "Go to another database of PG_EVENTS_PROFILES."),
    Command("readonly", ("onoff",), "Allow no change to the database from here, or allow it again."),
    Command("theme", ("theme",), "Change the colours."),
    Command("keys", (), "All keys, and the filter's words."),
    Command("screenshot", ("path?",), "Write a picture of the screen (SVG)."),
    Command("stats", (), "What is kept here, in numbers."),
    Command("clear view", (), "Hide what is there; what comes from now on is shown. esc takes it back."),
    Command("quit", (), "Leave the console."),
)
_BY_NAME: Final = {command.name: command for command in COMMANDS}

_TOKEN: Final = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Call:
    """Command and its arguments by kind; omitted ones are empty."""

    name: str
    arguments: dict[str, str]

    def __getitem__(self, kind: str) -> str:
        return self.arguments.get(kind, "")


def parse(text: str) -> Call:
    """Parse a line. Raises `UsageError` with one line that names the value and the remedy."""
    command, rest = _command(text)
    found: dict[str, str] = {}
    for part in map(_part, command.takes):
        rest = rest.strip()
        word, after = _token(rest)
        if part.is_left_out(word):
            continue
        if part.lead and word:
            rest = after.strip()
            word, after = _token(rest)
        elif part.lead:
            continue
        word, rest = (rest, "") if part.takes_rest else (word, after)
        if not word and (part.lead or not part.is_optional):
            raise UsageError(f"{part.usage.strip('[]')} is missing: {command.usage}")
        _check(part.kind, word)
        found[part.kind] = word
    if rest.strip():
        raise UsageError(f"{rest.strip()!r} is too much: {command.usage}")
    if found.get("form"):
        found["path"] = _with_form(found["path"], found["form"])
    return Call(command.name, found)


def begun(text: str) -> Command | None:
    """Return the command of a line that continues after its name."""
    try:
        command, rest = _command(text)
    except UsageError:
        return None
    return command if rest else None


def _command(text: str) -> tuple[Command, str]:
    """Return the command at the start of a line, and the rest."""
    words = text.strip().removeprefix(":").split(maxsplit=2)
    for count in (2, 1):
        command = _BY_NAME.get(" ".join(words[:count]))
        if len(words) >= count and command is not None:
            after = text.lstrip().removeprefix(":").lstrip()
            for word in words[:count]:
                after = after.lstrip().removeprefix(word)
            return command, after
    if not words:
        raise UsageError("a command is missing; Tab shows what there is")
    longer = [name for name in _BY_NAME if name.startswith(f"{words[0]} ")]
    if longer:
        raise UsageError(f"{words[0]} what? {' or '.join(longer)}")
    near = get_close_matches(words[0], _BY_NAME, n=1)
    raise UsageError(
        f"there is no command {words[0]!r}" + (f"; did you mean {near[0]}?" if near else "; Tab shows all")
    )


def _token(text: str) -> tuple[str, str]:
    """Return the first word without quotes, and the rest."""
    match = _TOKEN.match(text)
    if match is None:
        return "", ""
    return match[1] if match[1] is not None else match[2], text[match.end() :]


def listed(text: str) -> list[str]:
    """Return the names of a list without quotes."""
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]+)"|([^\s,"]+)', text)]


def _check(kind: str, word: str) -> None:
    if kind == "selector" and word not in SELECTORS:
        raise UsageError(f"{word!r} selects nothing; there are {' '.join(SELECTORS)}")
    if kind == "events" and word.startswith("@") and word not in REPLAYED:
        raise UsageError(f"{word!r} selects nothing; there are {' '.join(REPLAYED)} and names of files")
    if kind == "callback" and (problem := name_problem(word)):
        raise UsageError(f"{word!r} is no callback: {problem}")
    if kind == "speed" and word not in SPEED_WORDS:
        raise UsageError(f"{word!r} is no speed; there are {' '.join(SPEED_WORDS)}")
    if kind == "onoff" and word not in CHOICES[kind]:
        raise UsageError(f"{word!r} is neither on nor off")


def _with_form(path: str, form: str) -> str:
    ending = path.rpartition("/")[2].removesuffix(".gz").rpartition(".")[2] if "." in path.rpartition("/")[2] else ""
    if ending in FORMS and ending != form:
        raise UsageError(f"{path!r} ends in .{ending} and is to be {form}")
    return path if ending == form else f"{path}.{form}"


# ── Completion ──

LISTS: Final = ("columns", "tables")
"""Kinds that accept several values."""
Known = Callable[[str, str], Sequence[str]]
"""Returns the known values of a kind with this beginning."""


def completion(text: str, known: Known) -> Completion:
    """Return candidates for the last word."""
    names = [f"{name} " if command.takes else name for name, command in _BY_NAME.items()]
    try:
        command, rest = _command(text)
    except UsageError:
        return Completion(0, matching(names, text))
    longer = matching(names, text)
    if not rest or (longer and longer != [text]):
        kept = _of(_part(command.takes[0]).kind, rest.strip(), known) if rest else ()
        return Completion(0, [*longer, *(f"{command.name} {name}" for name in kept)])
    found: list[str] = []
    for part in map(_part, command.takes):
        rest = rest.lstrip()
        if part.kind in LISTS:
            start = max(rest.rfind(","), rest.rfind(" ")) + 1
            return Completion(len(text) - len(rest) + start, _of(part.kind, rest[start:], known))
        word, after = _token(rest)
        if part.lead and word == part.lead and after:
            rest = after.lstrip()
            word, after = _token(rest)
            if not after:
                return Completion(len(text) - len(rest), _of(part.kind, rest, known))
        elif not after:
            found += matching([f"{part.lead} "], rest) if part.lead else _of(part.kind, rest, known)
            if not part.is_optional:
                break
            continue
        elif part.is_left_out(word):
            continue
        rest = after
    return Completion(len(text) - len(rest), found)


def _of(kind: str, begin: str, known: Known) -> Sequence[str]:
    if kind == "events":
        return [*matching(REPLAYED, begin), *known("path", begin)]
    fixed = CHOICES.get(kind)
    return matching(fixed, begin) if fixed is not None else known(kind, begin)
