"""`build` and `teardown`: show the plan, or carry it out."""

import json
from dataclasses import replace

import click

from pg_events import build as core
from pg_events.cli import database_options, say
from pg_events.cli.steps import apply_plan, show_plan
from pg_events.connection import connect
from pg_events.plan import Plan
from pg_events.settings import load


@click.command()
@database_options
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Cover only these tables: a glob such as 'public.*'. Repeatable.",
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave these tables out; stronger than --include. Repeatable."
)
@click.option("--grant", metavar="ROLE", help="Let ROLE read the log: tui, listen, status, export.")
@click.option("--plan", "show", is_flag=True, help="Show what would be done, and why; change nothing.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the plan as a script for psql; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done (or with --plan would be) as JSON.")
def build(
    settings: str | None,
    database_url: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    grant: str | None,
    show: bool,
    as_sql: bool,
    as_json: bool,
) -> int:
    """Install the triggers, or bring them up to date.

    Idempotent: run it after every migration, or from a deploy script. What is as it should be is not
    touched and not locked. One table is done at a time, with a short lock timeout: no writer waits
    longer for it than that. A build that was interrupted is simply run again.

    Patterns are kept in the database, so that tables made later are covered (or not) by them too.
    """
    chosen = load(settings, database_url)
    if include or exclude:
        chosen = replace(chosen, include=include or chosen.include, exclude=exclude or chosen.exclude)
    assert chosen.database_url is not None
    with connect(chosen.database_url, application_name="pg_events build") as connection:
        plan = core.make_plan(connection, chosen)
        if grant is not None:
            plan = Plan((*plan.steps, *core.grant_steps(connection, grant)), plan.unchanged, plan.warnings)
    if as_sql:
        click.echo(plan.script, nl=False)
        return 0
    for warning in plan.warnings:
        say(f"warning: {warning}")
    if show:
        return show_plan(plan, as_json)
    return apply_plan(chosen.database_url, plan, as_json, "covered")


@click.command()
@database_options
@click.option("--plan", "show", is_flag=True, help="Show what would be removed; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def teardown(settings: str | None, database_url: str | None, show: bool, yes: bool, as_json: bool) -> int:
    """Remove every trace: triggers, event triggers and the schema pgevents.

    The captured events, the consumers' cursors and the failed events go with it. Your tables and their
    rows are not touched. DROP TRIGGER locks one table after another, each for a moment.
    """
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    with connect(chosen.database_url, application_name="pg_events teardown") as connection:
        plan = core.teardown_plan(connection)
    if show:
        return show_plan(plan, as_json)
    if not plan.steps:
        say("nothing to remove: there is no pg_events in this database")
        if as_json:
            click.echo(json.dumps({"changes": [], "unchanged": 0, "applied": True}))
        return 0
    if not yes:
        question = f"Remove {len(plan.steps)} objects, with all captured events?"
        if not click.confirm(question, default=False, err=True):
            say("nothing was changed")
            return 1
    return apply_plan(chosen.database_url, plan, as_json, "removed")
