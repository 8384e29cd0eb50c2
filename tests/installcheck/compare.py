"""Compares what a suite printed without capture with what it printed with it, and sets aside what is expected to differ."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.installcheck.suites import Outcome

_COUNT = re.compile(r"\(\d+ rows?\)")


@dataclass(frozen=True)
class Rule:
    """An expected difference: lines of some files that may be only on one side, and why."""

    files: str
    lines: re.Pattern[str]
    because: str

    def explains(self, file: str, line: str) -> bool:
        return fnmatchcase(file, self.files) and self.lines.search(line) is not None


@dataclass(frozen=True)
class Compared:
    """The files of a suite."""

    suite: str
    plain_passed: int
    files: int
    same: int
    explained: dict[str, list[str]]
    """File that differs as expected -> the reasons."""
    unexplained: dict[str, str]
    """File that differs otherwise -> the difference, without what is explained."""
    events: int


def rules() -> tuple[Rule, ...]:
    entries = tomllib.loads(Path(__file__).with_name("expected.toml").read_text())["expected"]
    return tuple(Rule(entry["files"], re.compile(entry["lines"]), entry["because"]) for entry in entries)


def compare(suite: str, plain: Outcome, captured: Outcome, known: Sequence[Rule]) -> Compared:
    """A file is the same when its output is, or when PostgreSQL accepts both: some tests have several right ones."""
    explained: dict[str, list[str]] = {}
    unexplained: dict[str, str] = {}
    names = sorted({path.name for run in (plain, captured) for path in run.results.glob("*.out")})
    for name in names:
        test = name.removesuffix(".out")
        before, after = _lines(plain.results / name), _lines(captured.results / name)
        if before == after or (test in plain.passed and test in captured.passed):
            continue
        reasons, left = _judge(f"{suite}/{test}", before, after, known)
        if left:
            unexplained[test] = left
        else:
            explained[test] = reasons or ["widths of columns"]
    same = len(names) - len(explained) - len(unexplained)
    return Compared(suite, len(plain.passed), len(names), same, explained, unexplained, captured.events)


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def _judge(file: str, before: list[str], after: list[str], known: Sequence[Rule]) -> tuple[list[str], str]:
    """Reasons for what is explained, and the hunks with a line that is not."""
    reasons: dict[str, None] = {}
    left: list[str] = []
    is_explained = False
    for hunk in _hunks(before, after):
        lines = [line[1:] for line in hunk[1:] if line[1:].strip()]
        found = {_reason(file, line, known) for line in lines if not _COUNT.fullmatch(line)}
        # A count alone ends the list that the hunk before it is of.
        is_explained = None not in found if found else is_explained
        if not is_explained:
            left += hunk
        reasons |= dict.fromkeys(sorted(reason for reason in found if reason))
    return list(reasons), "\n".join(left)


def _hunks(before: list[str], after: list[str]) -> Iterator[list[str]]:
    """Each with its `@@` line first; lines that differ in blanks and rulers alone, as when a column is wider, are equal."""
    hunk: list[str] = []
    for line in list(difflib.unified_diff([_plain(line) for line in before], [_plain(line) for line in after], n=0))[
        2:
    ]:
        if line.startswith("@@") and hunk:
            yield hunk
            hunk = []
        hunk.append(line.rstrip("\n"))
    if hunk:
        yield hunk


def _plain(line: str) -> str:
    return re.sub(r"-{2,}", "--", re.sub(r"\s+", " ", line)).strip()


def _reason(file: str, line: str, known: Sequence[Rule]) -> str | None:
    return next((rule.because for rule in known if rule.explains(file, line)), None)
