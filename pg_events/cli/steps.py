"""Plans, printed as text or JSON, and applied with a progress bar."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import click
from rich.progress import MofNCompleteColumn
from rich.text import Text

from pg_events.cli.page import Page, table
from pg_events.cli.progress import progress
from pg_events.cli.terminal import say
from pg_events.text import clean, counted
from pg_events.triggers.build import Applied, apply
from pg_events.triggers.catalog import OPERATIONS
from pg_events.triggers.plan import ACCESS_EXCLUSIVE, Plan, Step


def show_plan(plan: Plan, as_json: bool) -> int:
    """Print a plan; exit code 0."""
    if as_json:
        click.echo(_as_json(plan, applied=False))
    elif not plan.steps:
        say(nothing_to_do(plan))
    else:
        _print_lines(list(lines(plan.steps)))
        _say_locks(plan.steps)
        say(f"{_changes(len(plan.steps), plan)}; nothing was done: this is a plan")
    return 0


def apply_plan(database_url: str, plan: Plan, as_json: bool) -> int:
    """Apply a plan with a progress bar; exit code 0, or 1 if a step failed."""
    result = _apply(database_url, plan)
    for table_name, reason in dict.fromkeys((step.table or step.object, reason) for step, reason in result.failed):
        say(f"failed: {table_name}: {reason}")
    if as_json:
        click.echo(_as_json(plan, applied=not result.failed))
    elif not plan.steps:
        say(nothing_to_do(plan))
    else:
        say("; ".join([_changes(result.applied, plan), *_tables_done(plan, result)]))
        if plan.is_without_tables:
            say("there are no tables yet")
    return 1 if result.failed else 0


def apply_first_part(database_url: str, plan: Plan) -> None:
    """Apply and print the steps that must be done before the rest can be planned."""
    for step in plan.steps:
        say(f"{step.action} {step.object}: {step.reason}")
    _apply(database_url, plan)


def _as_json(plan: Plan, applied: bool) -> str:
    changes = [{"action": step.action, "object": step.object, "table": step.table} for step in plan.steps]
    return json.dumps({"changes": changes, "unchanged": plan.unchanged, "applied": applied})


def nothing_to_do(plan: Plan) -> str:
    """Message for an empty plan."""
    return f"nothing to do: {counted(plan.unchanged, 'object')} as they should be"


def _changes(number: int, plan: Plan) -> str:
    return f"{counted(number, 'change')}, {plan.unchanged:,} unchanged"


def _tables_done(plan: Plan, result: Applied) -> Iterator[str]:
    failed = {step.table for step, _ in result.failed}
    done = [step for step in plan.steps if step.table is not None and step.table not in failed]
    covered = {step.table for step in done if step.action != "drop"}
    # A table that stays covered keeps its trigger for TRUNCATE, whichever other triggers are removed.
    freed = {step.table for step in done if step.object.endswith("_truncate")} - covered
    if covered:
        yield f"{counted(len(covered), 'table')} covered"
    if freed:
        yield f"{counted(len(freed), 'table')} no longer covered"
    if failed:
        yield f"{counted(len(failed), 'table')} failed"


# --- showing ------------------------------------------------------------------------------------------------------

_MANY = 3
"""Maximum number of objects of a kind that are named; more are counted."""


@dataclass(frozen=True)
class Line:
    """One or more steps of a plan, shown as one change."""

    action: str
    what: str
    """Object, number of objects, or table."""
    triggers: str = ""
    """Letters of a table's operations."""
    why: str = ""


def lines(steps: Iterable[Step]) -> Iterator[Line]:
    """Summary of a plan: one line per table, few for the rest."""
    for (table_name, action, kind), group in groupby(steps, key=lambda step: (step.table, step.action, _kind(step))):
        if kind == _PART_OF_SCHEMA:
            parts = list(group)
            what = parts[0].object if len(parts) == 1 else f"schema pgevents, in {len(parts)} parts"
            yield Line(action, what, why=_why(parts[0].reason))
        elif table_name is None:
            yield from _object_lines(action, kind, list(group))
        else:
            for reason, same in groupby(group, key=lambda step: step.reason):
                yield Line(action, table_name, " ".join(map(_letter, same)), _why(reason))


def _object_lines(action: str, kind: str, steps: list[Step]) -> Iterator[Line]:
    if len(steps) > _MANY:
        reasons = {step.reason for step in steps}
        yield Line(action, counted(len(steps), kind), why=_why(reasons.pop()) if len(reasons) == 1 else "")
    else:
        for step in steps:
            yield Line(action, step.object, why=_why(step.reason))


_PART_OF_SCHEMA: Final = "part of the schema"


def _kind(step: Step) -> str:
    """Kind of an object: `function` for `function pgevents.capture()`."""
    if step.migration is not None:
        return _PART_OF_SCHEMA
    return step.object.partition(" ")[0] if step.table is None else ""


def _letter(step: Step) -> str:
    """Letter of a trigger as in `status`: `I` for `00_pgevents_insert`, `R` for replicated changes."""
    operation = step.object.rpartition("_")[2]
    return operation[0].upper() if operation in (*OPERATIONS, "replicated") else step.object


def _why(reason: str) -> str:
    """Reason of a step, without what the command's name says already."""
    return (
        ""
        if reason in ("teardown", "--grant-reader", "--grant-emitter", "--grant-worker", "--revoke")
        else reason.partition(", but still has triggers")[0]
    )


def _print_lines(shown: list[Line]) -> None:
    headers = ["action", "what"]
    cells = [[line.action, line.what] for line in shown]
    for header, column in (("triggers", [line.triggers for line in shown]), ("why", [line.why for line in shown])):
        if any(column):
            headers.append(header)
            for row, cell in zip(cells, column, strict=True):
                row.append(cell)
    grid = table(*headers)
    grid.columns[1].overflow = "fold"
    for row in cells:
        grid.add_row(*(Text(clean(cell)) for cell in row))
    Page().print(grid)


def _say_locks(steps: Iterable[Step]) -> None:
    locked: dict[str, set[str | None]] = {}
    for step in steps:
        if step.lock:
            locked.setdefault(step.lock, set()).add(step.table)
    for lock, names in locked.items():
        who = "writers and readers wait" if lock == ACCESS_EXCLUSIVE else "writers wait, readers do not"
        say(f"locks {counted(len(names), 'table')}, one at a time, for a moment: {lock} ({who})")


# --- carrying out -------------------------------------------------------------------------------------------------


def _apply(database_url: str, plan: Plan) -> Applied:
    with progress(MofNCompleteColumn(), bool(plan.steps)) as shown:
        bar = shown.add_task("", total=len(plan.steps))

        def told(step: Step, outcome: str) -> None:
            name = clean(step.table or step.object)[:40]
            waiting = outcome == "waiting"
            shown.update(
                bar, description=f"{name} is busy, retrying later" if waiting else name, advance=0 if waiting else 1
            )

        return apply(database_url, plan, told)
