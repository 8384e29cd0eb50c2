"""The commands that are typed behind `:`, in one table: reading, completion, help and palette are made from it. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pg_events.errors import UsageError
from pg_events_tui.completion import Completion, matching

SELECTORS: Final = {
    "@shown": "what the list shows",
    "@marked": "what is marked",
    "@focus": "the selected event",
    "@tx": "its transaction",
    "@all": "all that is kept here",
}
FORMS: Final = ("jsonl", "csv", "sql")


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that can be told to the console."""

    name: str
    """One word or two."""
    takes: tuple[str, ...]
    """What stands behind it, in this order: the kind of each; `?` may be left out, `…` takes the rest of the line."""
    help: str

    @property
    def usage(self) -> str:
        return " ".join([self.name, *map(_spelt, self.takes)])

    @property
    def needs(self) -> bool:
        """It says nothing without something behind it."""
        return any(not kind.endswith("?") for kind in self.takes)


def _spelt(kind: str) -> str:
    name = kind.rstrip("?…")
    word = {
        "form": "|".join(FORMS),
        "selector": "@shown",
        "onoff": "on|off",
        "kept": "NAME",
        "database": "NAME",
        "theme": "NAME",
    }.get(name, name.upper())
    return f"[{word}]" if kind.endswith("?") else word


COMMANDS: Final = (
    Command("open", ("path",), "Open a saved log; q leads back."),
    Command("write", ("form?", "selector", "path"), "Write events to a file; its ending tells the form."),
    Command("record start", ("path", "filter…?"), "Record what arrives to a file; with a filter, what matches."),
    Command("record stop", (), "End the recording."),
    Command("goto", ("place…",), "Go to a time (14:01:07, 5m) or an event (#184220)."),
    Command("filter save", ("kept",), "Keep the filter of this list under a name."),
    Command("filter", ("kept",), "Show what matches a filter that was kept."),
    Command("filter forget", ("kept",), "Forget a filter that was kept."),
    Command("columns", ("columns…?",), "Show these columns, in this order; without any, those that fit."),
    Command("plan", ("table?",), "Plan the build for a table, or for the whole database; nothing is done yet."),
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
    """A command and what stands behind it, by kind; what was left out is empty."""

    name: str
    arguments: dict[str, str]

    def __getitem__(self, kind: str) -> str:
        return self.arguments.get(kind, "")


def parse(text: str) -> Call:
    """Read a line. Raises `UsageError` of one line that names the value and the remedy."""
    command, rest = _command(text)
    found: dict[str, str] = {}
    for kind in command.takes:
        name, rest = kind.rstrip("?…"), rest.strip()
        if "…" in kind:
            word, rest = rest, ""
        else:
            word, after = _token(rest)
            if kind.endswith("?") and name == "form" and word not in FORMS:
                continue
            rest = after
        if not word and not kind.endswith("?"):
            raise UsageError(f"{_spelt(name)} is missing: {command.usage}")
        _check(name, word)
        found[name] = word
    if rest.strip():
        raise UsageError(f"{rest.strip()!r} is too much: {command.usage}")
    if found.get("form"):
        found["path"] = _with_form(found["path"], found["form"])
    return Call(command.name, found)


def _command(text: str) -> tuple[Command, str]:
    """The command at the start of a line, and what stands behind it."""
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
    """The first word, without its quotes, and what follows."""
    match = _TOKEN.match(text)
    if match is None:
        return "", ""
    return match[1] if match[1] is not None else match[2], text[match.end() :]


def _check(kind: str, word: str) -> None:
    if kind == "selector" and word not in SELECTORS:
        raise UsageError(f"{word!r} selects nothing; there are {' '.join(SELECTORS)}")
    if kind == "onoff" and word not in ("on", "off"):
        raise UsageError(f"{word!r} is neither on nor off")


def _with_form(path: str, form: str) -> str:
    ending = path.rpartition("/")[2].removesuffix(".gz").rpartition(".")[2] if "." in path.rpartition("/")[2] else ""
    if ending in FORMS and ending != form:
        raise UsageError(f"{path!r} ends in .{ending} and is to be {form}")
    return path if ending == form else f"{path}.{form}"


# ── Completion ──

Known = Callable[[str, str], Sequence[str]]
"""What there is of a kind that begins so."""


def completion(text: str, known: Known) -> Completion:
    """How the last word can go on."""
    names = [f"{name} " if command.takes else name for name, command in _BY_NAME.items()]
    try:
        command, rest = _command(text)
    except UsageError:
        return Completion(0, matching(names, text))
    longer = matching(names, text)
    if not rest or (longer and longer != [text]):
        kept = _of(command.takes[0], rest.strip(), known) if rest else ()
        return Completion(0, [*longer, *(f"{command.name} {name}" for name in kept)])
    kinds = list(command.takes)
    while kinds:
        kind = kinds.pop(0)
        name, rest = kind.rstrip("?…"), rest.lstrip()
        if name == "columns":
            start = max(rest.rfind(","), rest.rfind(" ")) + 1
            return Completion(len(text) - len(rest) + start, _of(name, rest[start:], known))
        word, after = _token(rest)
        if name == "form" and word and not any(form.startswith(word) for form in FORMS):
            continue
        if not after:
            found = list(_of(name, rest, known))
            if name == "form" and kinds:
                found += _of("selector", rest, known)
            return Completion(len(text) - len(rest), found)
        rest = after
    return Completion(len(text), [])


def _of(kind: str, begin: str, known: Known) -> Sequence[str]:
    fixed = {"selector": tuple(SELECTORS), "form": FORMS, "onoff": ("on", "off")}.get(kind)
    return matching(fixed, begin) if fixed is not None else known(kind, begin)
