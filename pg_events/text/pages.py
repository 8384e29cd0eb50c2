"""Pages of the documentation, which ship with the package."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

_FOLDER: Final = files("pg_events") / "docs"


@dataclass(frozen=True)
class Match:
    """Line of a page that contains a word."""

    topic: str
    number: int
    """Number of the line, from 1."""
    text: str


def topics() -> tuple[str, ...]:
    """Return the names of all pages, sorted."""
    return tuple(sorted(entry.name.removesuffix(".md") for entry in _FOLDER.iterdir() if entry.name.endswith(".md")))


@cache
def page(topic: str) -> str:
    """Return the Markdown text of a page."""
    return _FOLDER.joinpath(f"{topic}.md").read_text("utf-8")


def summary(topic: str) -> str:
    """Return the first sentence of a page, below its title."""
    return page(topic).split("\n", 3)[2]


def search(word: str, chosen: Iterable[str]) -> list[Match]:
    """Return the lines of the pages that contain a word, whatever their case."""
    return [
        Match(topic, number, line.strip())
        for topic in chosen
        for number, line in enumerate(page(topic).splitlines(), 1)
        if word.lower() in line.lower()
    ]
