"""Plans on a terminal: as a table, as JSON, and being carried out."""

import json
import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from pg_events.build import apply
from pg_events.cli import say
from pg_events.plan import Plan, Step
from pg_events.text import clean


def show_plan(plan: Plan, as_json: bool) -> int:
    """Print a plan; exit code 0."""
    if as_json:
        click.echo(_as_json(plan, applied=False))
    elif not plan.steps:
        say(f"nothing to do: {plan.unchanged} objects are as they should be")
    else:
        _print_table(plan)
    return 0


def apply_plan(database_url: str, plan: Plan, as_json: bool, verb: str) -> int:
    """Carry a plan out with a progress bar; exit code 0, or 1 when a step failed."""
    with _progress(len(plan.steps)) as progress:
        bar = progress.add_task("", total=len(plan.steps))

        def told(step: Step, outcome: str) -> None:
            progress.update(bar, description=clean(step.table or step.object)[:40])
            if outcome == "waiting":
                progress.update(bar, description=f"{clean(step.table or '')[:30]} is busy")
            else:
                progress.advance(bar)

        result = apply(database_url, plan, told)
    for step, reason in result.failed:
        say(f"failed: {step.action} {step.object} on {step.table}: {reason}")
    if as_json:
        click.echo(_as_json(plan, applied=not result.failed))
    elif not plan.steps:
        say(f"nothing to do: {plan.unchanged} objects are as they should be")
    else:
        tables = {step.table for step in plan.steps if step.table} - {step.table for step, _ in result.failed}
        say(f"{result.applied} changes, {plan.unchanged} unchanged; {len(tables)} tables {verb}")
    return 1 if result.failed else 0


def _as_json(plan: Plan, applied: bool) -> str:
    changes = [{"action": step.action, "object": step.object, "table": step.table} for step in plan.steps]
    return json.dumps({"changes": changes, "unchanged": plan.unchanged, "applied": applied})


def _progress(steps: int) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or steps == 0,
    )


def _print_table(plan: Plan) -> None:
    """The plan for people: one line an object, the lock it takes on which table, and why."""
    if not sys.stdout.isatty():
        for step in plan.steps:
            on = f" on {step.table}" if step.table else ""
            lock = f"; {step.lock}" if step.lock else ""
            click.echo(clean(f"{step.action} {step.object}{on} ({step.reason}{lock})"))
    else:
        table = Table("action", "object", "table", "lock", "why", box=None, header_style="bold", pad_edge=False)
        for step in plan.steps:
            cells = (step.action, step.object, step.table or "", step.lock or "none", step.reason)
            table.add_row(*(Text(clean(cell)) for cell in cells))
        Console().print(table)
    say(f"{len(plan.steps)} changes, {plan.unchanged} unchanged; nothing was done: this is a plan")
