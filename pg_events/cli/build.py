"""`build` and `teardown`: show the plan, or carry it out."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import click

from pg_events import sql
from pg_events.cli.database import connected
from pg_events.cli.steps import apply_first_part, apply_plan, nothing_to_do, show_plan
from pg_events.cli.terminal import is_terminal, say
from pg_events.config.settings import Settings, load
from pg_events.errors import UsageError
from pg_events.text import counted
from pg_events.triggers import build as core
from pg_events.triggers.plan import Plan


def build(
    settings: str | None,
    database_url: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    grant_reader: str | None,
    grant_emitter: str | None,
    grant_worker: str | None,
    revoke: str | None,
    show: bool,
    as_sql: bool,
    as_json: bool,
) -> int:
    """Install the triggers, or bring them up to date."""
    chosen = load(settings, database_url)
    given = {"include": include, "exclude": exclude}
    given = {name: patterns for name, patterns in given.items() if patterns}
    grants = ((grant_reader, "reader"), (grant_emitter, "emitter"), (grant_worker, "worker"), (revoke, None))
    with connected(chosen, "build", checks_owner=False) as connection:
        first = core.first_part(connection, chosen)
        if first is not None and not (show or as_sql):
            assert chosen.database_url is not None
            apply_first_part(chosen.database_url, first)
        elif first is not None:
            say("this part comes first; the remaining steps are planned once it is done")
            return _print_script(first) if as_sql else show_plan(first, as_json)
        for line in _about_patterns(given, chosen) if given else core.forgotten(connection, chosen):
            say(line)
        if given:
            chosen = replace(core.settled(connection, chosen), **given)
        plan = core.make_plan(connection, chosen)
        for role, capability in grants:
            if role is not None:
                plan = replace(plan, steps=(*plan.steps, *core.grant_steps(connection, role, capability)))
    for warning in plan.warnings:
        say(f"warning: {warning}")
    if as_sql:
        return _print_script(plan)
    if show:
        return show_plan(plan, as_json)
    assert chosen.database_url is not None
    return apply_plan(chosen.database_url, plan, as_json)


_WHOLE: Final = """\
-- It stops at the first error, such as a lock timeout. What was done before is kept: print the
-- script again, and it has what is left."""
_FIRST_PART: Final = """\
-- It is the first part, and all or nothing: print the script again when it is done, and it has what is left."""


def _print_script(plan: Plan) -> int:
    """Print a plan for psql; nothing when there is nothing to do."""
    if plan.steps:
        about = _FIRST_PART if plan.is_first_part else _WHOLE
        click.echo(f"{sql.fill(sql.text('script_head.sql'), {'about': about})}\n{plan.script}", nl=False)
    else:
        say(nothing_to_do(plan))
    return 0


def _about_patterns(given: Iterable[str], chosen: Settings) -> Iterator[str]:
    for name in () if chosen.only_database else given:
        yield f"--{name} holds until the next build: to keep it, put it into PG_EVENTS_{name.upper()} of {chosen.source}"


def teardown(settings: str | None, database_url: str | None, show: bool, yes: bool, as_json: bool) -> int:
    """Remove all objects of pg_events: triggers, event triggers and the schema pgevents."""
    chosen = load(settings, database_url)
    with connected(chosen, "teardown", checks_owner=False) as connection:
        plan = core.teardown_plan(connection)
    if not plan.steps:
        say("nothing to remove: there is no pg_events in this database")
        if as_json:
            click.echo(json.dumps({"changes": [], "unchanged": 0, "applied": not show}))
        return 0
    if show:
        return show_plan(plan, as_json)
    if not yes and not _confirmed(f"Remove {counted(len(plan.steps), 'object')}, with all captured events?"):
        say("nothing was changed")
        return 1
    assert chosen.database_url is not None
    return apply_plan(chosen.database_url, plan, as_json)


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort:
        if is_terminal(sys.stdin):
            raise
        raise UsageError("cannot ask for confirmation without a terminal: pass --yes") from None
