"""`runs`: outcomes of replays."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from pg_events.cli.page import Page, table
from pg_events.cli.terminal import say
from pg_events.config import units
from pg_events.errors import UsageError
from pg_events.playback import runs as kept_runs
from pg_events.playback.runs import Outcome, Run
from pg_events.playback.source import LOG
from pg_events.text import clean, counted, one_line, shorten
from pg_events.text.formatting import format_age, format_bytes


def list_runs(as_json: bool) -> int:
    """List replays, oldest first: name (the local time of the start), events, source and callbacks."""
    page, shown = Page(), table("run", "events", "failed", "state", "source", "into")
    for column in shown.columns[:4]:
        column.no_wrap = True  # the name, for one, is what the other commands ask for
    found = kept_runs.kept()
    for run in found:
        total = run.sum()
        if as_json:
            click.echo(json.dumps({"run": run.run, "started_at": run.started_at, **asdict(run.asked), **asdict(total)}))
        else:
            into = ", ".join(dict.fromkeys(run.asked.callbacks.values()))
            row = (run.run, f"{total.events:,}", f"{total.failed:,}", total.state, _source(run), into)
            shown.add_row(*map(clean, row))
    if found and not as_json:
        page.print(shown, markup=False)
    if not found:
        say("no replays are kept")
    return 0


def show(run: str, shows_all: bool, as_json: bool) -> int:
    """Show a replay: the traceback of each failed event, and the output of the callback."""
    found = kept_runs.find(run)
    if not as_json:
        total = found.sum()
        into = ", ".join(f"{kind} → {name}" for kind, name in found.asked.callbacks.items())
        click.echo(clean(f"run {found.run}: {_source(found)} {found.asked.where}".rstrip()))
        click.echo(clean(f"{into}{f', shadow → {found.asked.shadow}' if found.asked.shadow else ''}"))
        click.echo(
            f"{counted(total.events, 'event')}: {total.delivered:,} delivered, {total.failed:,} failed, "
            f"{total.skipped:,} skipped in {total.seconds:,.1f} s; {total.state}"
        )
    for outcome in found.outcomes():
        if as_json:
            click.echo(outcome.as_json())
        elif shows_all or _is_special(outcome):
            _print(outcome)
    return 0


def compare(first: str, second: str, as_json: bool) -> int:
    """Compare two replays event by event: failed in the first and fixed in the second, and the reverse."""
    counts: Counter[str] = Counter()
    for difference in kept_runs.compare(kept_runs.find(first), kept_runs.find(second)):
        counts[difference.change] += 1
        if as_json:
            click.echo(json.dumps(asdict(difference)))
            continue
        if difference.change.startswith("only in"):  # events that were not replayed again are only counted
            continue
        then, now = (one_line(error) if error else "ok" for error in (difference.first, difference.second))
        words = f"{then} → {now}" if then != now else then
        click.echo(clean(shorten(f"{difference.change}: #{difference.id} {difference.what}  {words}", 500)))
    say(", ".join(f"{number:,} {change}" for change, number in counts.items()) or "the two runs have the same outcomes")
    return 1 if counts["fails now"] or counts["fails differently"] else 0


def prune(keep: str) -> int:
    """Delete replays that ended, or were interrupted, more than AGE ago."""
    try:
        age = units.age(keep)
    except ValueError as error:
        raise UsageError(f"--keep must be {error}, not {clean(keep)!r}") from None
    deleted, freed = kept_runs.prune(age)
    say(f"deleted {counted(deleted, 'run')} older than {format_age(age)}, {format_bytes(freed)}")
    return 0


def _source(run: Run) -> str:
    """Source of a run; a file below the current directory by its relative path."""
    if run.asked.source == LOG:
        return f"log of {run.asked.database}"
    path = Path(run.asked.source)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _is_special(outcome: Outcome) -> bool:
    differs = outcome.shadow is not None and not outcome.shadow["same"]
    return not outcome.ok or outcome.edited or differs or outcome.output is not None


def _print(outcome: Outcome) -> None:
    words = [f"#{outcome.id}", outcome.what, outcome.error or "ok", f"{outcome.milliseconds:,.1f} ms"]
    if outcome.attempt > 1:
        words.append(f"attempt {outcome.attempt}")
    if outcome.edited:
        words.append("edited")
    if outcome.returned is not None:
        words.append(f"returned {outcome.returned}")
    click.echo(clean("  ".join(one_line(word) for word in words)))
    for text in (outcome.output, outcome.traceback):
        if text:
            click.echo(clean("\n".join(f"    {line}" for line in text.rstrip().split("\n")), keep_newlines=True))
    if outcome.shadow is not None and not outcome.shadow["same"]:
        other = outcome.shadow
        says = other["error"] or f"returned {other['returned'] or 'None'}"
        click.echo(clean(f"    shadow: {one_line(says)}"))
        for line in (other["output"] or "").rstrip().splitlines():
            click.echo(clean(f"    shadow: {line}"))
