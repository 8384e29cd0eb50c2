"""The commands: their options, arguments and help.

Each command's work is in a module of its own, imported when the command is called: the help needs neither the driver
nor Rich, and a worker never imports the console.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from pg_events import __version__
from pg_events.cli.groups import Commands, Group, help_without_command
from pg_events.cli.numbers import Count, Number
from pg_events.config.fields import LOG_FORMATS

_EPILOG: Final = """
\b
Exit codes:  0 done, 1 done with failures or drift, 2 wrong usage or settings,
             3 database not reachable, 4 not permitted, 130 ended by Ctrl-C

\b
Completion of commands and options, for ~/.bashrc, ~/.zshrc and config.fish:
  eval "$(_PG_EVENTS_COMPLETE=bash_source pg_events)"
  eval "$(_PG_EVENTS_COMPLETE=zsh_source pg_events)"
  _PG_EVENTS_COMPLETE=fish_source pg_events | source
"""

_SECTIONS: Final = {
    "Capture": ("build", "teardown"),
    "Deliver": ("worker", "failed", "consumers"),
    "Inspect": ("tui", "listen", "history", "transaction", "trace", "status", "demo", "docs"),
    "Replay": ("export", "replay", "runs"),
    "Maintain": ("doctor", "prune"),
}
"""Headings of the help -> the commands below them."""


@click.group(
    cls=Commands,
    sections=_SECTIONS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="pg_events", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Show what changed in your PostgreSQL database and who changed it, and run that through your code again.

    \b
    Without a database of your own:
      pg_events demo
    With one:
      pg_events build  --settings my_module.settings     install the triggers
      pg_events worker --settings my_module.settings     call your functions
      pg_events tui    --settings my_module.settings     watch
    """
    help_without_command(context)


def _database(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the two options that every command has."""
    settings = click.option(
        "--settings",
        metavar="MODULE",
        help="my_module.settings or path/to/settings.py. Default: the environment variable PG_EVENTS_SETTINGS.",
    )
    url = click.option(
        "--database-url",
        metavar="URL",
        help="Overrides PG_EVENTS_DATABASE_URL of the settings and of the environment.",
    )
    return settings(url(command))


_consumer = click.option("--name", metavar="NAME", help="Only events of the consumer NAME.")
_failed_where = click.option(
    "--where", metavar="FILTER", default="", help="Only matching events, e.g. 'table:orders op:U'."
)
_log_file = click.option("--log", "file", metavar="FILE", help="Read a saved log instead of the database.")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
_json_lines = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
_json_payloads = click.option("--json", "as_json", is_flag=True, help="Print the payloads, one per line.")
_json_done = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")


def _failed_choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select events; at least one is required, so that no event is selected by accident."""
    ids = click.argument("event_ids", nargs=-1, type=int, metavar="[ID]...")
    everything = click.option("--all", "everything", is_flag=True, help="All of them.")
    return ids(_consumer(_failed_where(everything(command))))


def _speed(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    """Factor by which a replay is faster than the original; None for `max`."""
    if value == "max":
        return None
    try:
        speed = float(value.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{value} is neither max nor a factor above 0, such as 1 or 10", context, parameter)
    return speed


@cli.command(short_help="Install the triggers, or bring them up to date.")
@_database
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Cover only tables matching PATTERN, e.g. 'public.*'. Repeatable. Overrides PG_EVENTS_INCLUDE.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Exclude tables matching PATTERN; wins over --include. Repeatable. Overrides PG_EVENTS_EXCLUDE.",
)
@click.option("--grant-reader", metavar="ROLE", help="Let ROLE read the log: tui, listen, export, history, status.")
@click.option("--grant", "grant_reader", metavar="ROLE", hidden=True)
@click.option("--grant-emitter", metavar="ROLE", help="Let ROLE add events of its own: pgevents.emit().")
@click.option(
    "--grant-worker", metavar="ROLE", help="Let ROLE read the log and deliver: worker, failed, consumers, prune."
)
@click.option("--revoke", metavar="ROLE", help="Revoke from ROLE what a --grant option granted.")
@click.option("--plan", "show", is_flag=True, help="Show what would be done and why; change nothing.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the plan as a script for psql; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done (with --plan: would be) as JSON.")
def build(**given: Any) -> int:
    """Install the triggers, or bring them up to date.

    Run it as often as you like, after every migration or from a deploy script: objects that are up to date are
    neither changed nor locked. Tables are changed one at a time, and no writer waits longer than 0.2 s.
    If a build is interrupted, run it again.

    New tables are covered automatically, by the patterns of the last build. With a settings file the
    options apply until the next build; without one (--database-url), until other options are given.
    """
    from pg_events.cli.build import build as run

    return run(**given)


@cli.command(short_help="Call your functions with every change.")
@_database
@click.option(
    "--name",
    default="default",
    show_default=True,
    metavar="NAME",
    help="Name of the consumer; each has its own cursor.",
)
@click.option("--once", is_flag=True, help="Deliver all pending events, then exit.")
@click.option(
    "--from",
    "start",
    default="newest",
    show_default=True,
    metavar="START",
    help="Where a new consumer starts: newest, oldest, an event's id, or a time such as 5m, 14:00 or "
    "2026-08-22T14:00. An existing consumer resumes where it stopped.",
)
@click.option(
    "--isolate",
    is_flag=True,
    help="Run the functions in a separate process, so that they may hang, crash or be killed.",
)
@click.option(
    "--metrics", metavar="[HOST:]PORT", help="Serve /metrics for Prometheus, and /healthz; 0 is any free port."
)
@click.option("--log-format", type=click.Choice(LOG_FORMATS), help="Log as text, or as one JSON object per line.")
@click.option("-v", "--verbose", is_flag=True, help="Log every retry and reconnect.")
def worker(**given: Any) -> int:
    """Call your functions with every change, in order, at least once.

    The cursor is saved in the database after events have been delivered. A callback that raises is retried;
    when it gives up, its event is kept as failed and delivery continues (see pg_events failed, and
    PG_EVENTS_ON_FAILURE for alternatives). Reconnects indefinitely if the connection is lost.

    SIGTERM and Ctrl-C finish the current event, save the cursor and exit; a second one exits at once. Workers
    with the same name share the rows of the tables; when one dies, the others take over its rows.
    """
    from pg_events.cli.worker import worker as run

    return run(**given)


@cli.command(short_help="Open the console: live events, coverage, replay.")
@_database
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="Show a saved log; no database is needed.")
@click.option("--profile", metavar="NAME", help="Start with this database of PG_EVENTS_PROFILES.")
@click.option("--read-only", is_flag=True, help="Disable build, replay and discard.")
def tui(**given: Any) -> int:
    """Open the console: live events, coverage, schema changes, replay, health. With --log, show a saved file.

    \b
    1-5   Live, Coverage, Schema, Replay, Health   /      filter
    space pause                                    enter  details
    ?     all keys                                 q      quit
    """
    from pg_events.cli.tui import tui as run

    return run(**given)


@cli.command(short_help="Print events as they are committed.")
@_database
@click.option(
    "--where", metavar="FILTER", default="", help="Only matching events, e.g. 'table:orders op:U new.total>100'."
)
@click.option(
    "--since",
    metavar="TIME",
    help="Start with the kept events since TIME: 5m, 2h, 14:00, 2026-08-22, 2026-08-22T14:00, or oldest.",
)
@click.option(
    "--format", "form", type=click.Choice(["pretty", "json"]), help="Default: pretty on a terminal, json in a pipe."
)
@click.option("--limit", type=Count(min=1), metavar="N", help="Stop after N events.")
@click.option("--output", metavar="FILE", help="Write to FILE instead of stdout: .jsonl, or compressed .jsonl.gz.")
@_overwrite
def listen(**given: Any) -> int:
    """Print events as they are committed, as a readable line or as the JSON payload.

    Runs until Ctrl-C, until --limit is reached, or until the pipe is closed. Reads only: it needs nothing but
    SELECT on the log and moves no consumer's cursor. The file it writes is complete however it ends.
    """
    from pg_events.cli.listen import listen as run

    return run(**given)


@cli.command(short_help="Write the kept events to a file.")
@_database
@click.argument("file", required=False)
@click.option(
    "--where", metavar="FILTER", default="", help="Only matching events, e.g. 'table:orders op:U new.total>100'."
)
@click.option("--since", metavar="TIME", help="Only events since then: 5m, 14:00, 2026-08-22, 2026-08-22T14:00.")
@click.option("--until", metavar="TIME", help="Only events before then.")
@click.option("--log", "saved", metavar="LOG", help="Read a saved log instead of the database.")
@click.option(
    "--redact",
    multiple=True,
    metavar="PATTERN",
    help="Mask a column (email, users.email, shop.*.email) or the matches of a /regex/. Repeatable.",
)
@click.option(
    "--pytest", "test", metavar="TEST", help="Also write a test, such as tests/test_orders.py, with FILE next to it."
)
@click.option(
    "--callback", metavar="FUNCTION", help="my_module.function for the test. Overrides the callbacks of the settings."
)
@_overwrite
def export(**given: Any) -> int:
    """Write the kept events to FILE: .jsonl, or compressed .jsonl.gz.

    Writes a header, then one JSON payload per line. Events committed while it runs are not included. Reads
    only: it needs nothing but SELECT on the log and moves no consumer's cursor.

    With --redact the SQL of clients is omitted, because it may hold values anywhere; a pattern that masks nothing
    is reported, with exit code 1. Equal texts are masked alike.
    """
    from pg_events.cli.export import export as run

    return run(**given)


@cli.command(short_help="Run captured events through your functions again.")
@_database
@click.argument("source", required=False)
@click.option(
    "--where", metavar="FILTER", default="", help="Only matching events, e.g. 'table:orders op:U new.total>100'."
)
@click.option("--since", metavar="TIME", help="Only events since then: 5m, 14:00, 2026-08-22, 2026-08-22T14:00.")
@click.option("--until", metavar="TIME", help="Only events before then.")
@click.option(
    "--callback",
    metavar="FUNCTION",
    help="my_module.function for every event. Overrides the callbacks of the settings.",
)
@click.option("--shadow", metavar="FUNCTION", help="Also call FUNCTION with each event, and compare the results.")
@click.option("--plan", "is_plan", is_flag=True, help="Show which events would go to which callbacks; call nothing.")
@click.option(
    "--speed",
    callback=_speed,
    default="max",
    metavar="X|max",
    help="1: original speed, 10: ten times as fast.  [default: max]",
)
@click.option(
    "--max-gap",
    type=Number(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Maximum pause between events.",
)
@click.option("--times", type=Count(min=1), default=1, metavar="N", help="Replay all events N times.")
@click.option(
    "--on-error", type=click.Choice(["stop", "continue"]), default="stop", show_default=True, help="After a failure."
)
@click.option("--step", is_flag=True, help="Ask before each event.")
@click.option("--edit", is_flag=True, help="Edit each payload in $EDITOR first; it is then marked as edited.")
@click.option("--pdb", is_flag=True, help="Open the debugger where a callback fails.")
@click.option(
    "--watch", is_flag=True, help="Replay again, with the new code, whenever a Python file of the project is saved."
)
@click.option("--resume", metavar="RUN", help="Resume a stopped run at the event that failed.")
@click.option("--failed-of", metavar="RUN", help="Replay the events that failed in a run.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was done as JSON; output of callbacks goes to stderr."
)
def replay(**given: Any) -> int:
    """Run captured events through your functions again. SOURCE is a saved log, or the word "log".

    Calls the functions of the settings, or --callback, in a separate process. They get the payload with one
    more key, "replay"; the original is never altered. The outcome of each event is kept: see pg_events runs.
    RUN is the name of a run, its beginning or end, or the word last.

    Ctrl-C finishes the current event; a second one exits at once.
    """
    from pg_events.cli.replay import replay as run

    return run(**given)


@cli.group(cls=Group, short_help="List, show, compare or delete replays.")
@click.pass_context
def runs(context: click.Context) -> None:
    """Show the outcome of replays, event by event.

    Replays are kept in $XDG_STATE_HOME/pg_events/runs, or ~/.local/state/pg_events/runs, until they are
    pruned. RUN is a name, its beginning or end, or the word last.
    """
    help_without_command(context)


@runs.command("list", short_help="List replays, oldest first.")
@_json_lines
def list_runs(**given: Any) -> int:
    """List replays, oldest first: name (the local time of the start), events, source and callbacks."""
    from pg_events.cli.runs import list_runs as run

    return run(**given)


@runs.command("show", short_help="Show the outcome of a replay's events.")
@click.argument("run")
@click.option(
    "--all",
    "shows_all",
    is_flag=True,
    help="Show every event, not only those that failed, were edited, printed or differ.",
)
@_json_lines
def show_run(**given: Any) -> int:
    """Show a replay: the traceback of each failed event, and the output of the callback."""
    from pg_events.cli.runs import show

    return show(**given)


@runs.command("compare", short_help="Compare two replays: fixed, newly failing, differing.")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@_json_lines
def compare_runs(**given: Any) -> int:
    """Compare two replays event by event: failed in the first and fixed in the second, and the reverse.

    Exits with 1 if an event fails in the second but not in the first, or fails differently.
    """
    from pg_events.cli.runs import compare

    return compare(**given)


@runs.command("prune", short_help="Delete old replays.")
@click.option("--keep", required=True, metavar="AGE", help="Keep replays younger than AGE: 90m, 12h, 30d, 8w.")
def prune_runs(**given: Any) -> int:
    """Delete replays that ended, or were interrupted, more than AGE ago."""
    from pg_events.cli.runs import prune

    return prune(**given)


@cli.command("history", short_help="Show every version of a row, and undo statements.")
@_database
@click.argument("table")
@click.argument("key", nargs=-1, required=True)
@click.option("--at", "moment", metavar="TIME", help="Print only the row at TIME, as JSON.")
@click.option(
    "--undo", metavar="ID", type=int, help="Print only the statement that would undo event ID; it is not executed."
)
@click.option("--since", metavar="TIME", help="Read only events since TIME: 5m, 14:00, 2026-08-22.")
@_log_file
@_json_payloads
def row_history(**given: Any) -> int:
    """Show every kept version of the row of TABLE with that KEY, and the changes between them.

    KEY is the value of the primary key; if it has several columns, their values in order, or column=value.
    Without a known primary key, the column id identifies the row, or else the first column.
    """
    from pg_events.cli.history import row_history as run

    return run(**given)


@cli.command(short_help="Show everything one transaction did.")
@_database
@click.argument("xid", type=int)
@_log_file
@_json_payloads
def transaction(**given: Any) -> int:
    """Show the data changes and the DDL of transaction XID in order, with their author and statement.

    XID is the "xid" of an event.
    """
    from pg_events.cli.history import transaction as run

    return run(**given)


@cli.command(short_help="Show what an event caused, and what caused it.")
@_database
@click.argument("event_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@_log_file
@_json_payloads
def trace(**given: Any) -> int:
    """Show the tree of events and callbacks that event ID belongs to, from its first cause.

    An event knows its cause if the callback's connection sends the context: see pg_events docs context.
    """
    from pg_events.cli.trace import trace as run

    return run(**given)


@cli.command(short_help="Show coverage, consumers and the size of the log.")
@_database
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 1 if a table or DDL is not covered as it should be, or the log is from another cluster.",
)
@click.option("--problems", is_flag=True, help="Only tables that are not as they should be.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(**given: Any) -> int:
    """Show whether each table is covered and why not, how far behind each consumer is, and the log's size.

    Reads only. I U D T are INSERT, UPDATE, DELETE and TRUNCATE:
    ✓ captured, - missing, o disabled, ~ outdated, · not wanted.
    """
    from pg_events.cli.status import status as run

    return run(**given)


@cli.command(short_help="Find problems and suggest remedies.")
@_database
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(**given: Any) -> int:
    """Find problems of the database, the installation and the consumers, and suggest remedies.

    Reads only, and works with minimal privileges: checks that are not permitted are reported as such.
    Exits with 1 if it finds a problem.
    """
    from pg_events.cli.doctor import doctor as run

    return run(**given)


@cli.group(cls=Group, short_help="List, show, retry or discard events whose callback gave up.")
@click.pass_context
def failed(context: click.Context) -> None:
    """List, show, retry or discard events whose callback gave up after all its attempts.

    They are kept for each consumer, with payload and traceback, until a retry delivers them or they are
    discarded. With PG_EVENTS_ON_FAILURE = "hold" later events of the same row are blocked, and delivered in
    order once the failed event has been retried or discarded.
    """
    help_without_command(context)


@failed.command("list", short_help="List failed events, oldest first.")
@_database
@_consumer
@_failed_where
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="Maximum number."
)
@click.option("--group", is_flag=True, help="Group equal failures: count, first and last event, newest error.")
@_json_lines
def list_failed(**given: Any) -> int:
    """List failed events, oldest first: number, consumer, time, table, row, attempts and error.

    With --group, failures of a consumer and a table are equal if they raise the same exception in the same line;
    the most frequent come first, and --limit counts groups.
    """
    from pg_events.cli.failed import list_failed as run

    return run(**given)


@failed.command("show", short_help="Show a failed event with payload and traceback.")
@_database
@click.argument("event_id", type=int)
@_consumer
@_json_lines
def show_failed(**given: Any) -> int:
    """Show a failed event with its payload and traceback, for each consumer in which it failed."""
    from pg_events.cli.failed import show

    return show(**given)


@failed.command("retry", short_help="Have the worker deliver failed events again.")
@_database
@_failed_choice
@_json_done
def retry_failed(**given: Any) -> int:
    """Have failed events delivered again: those with the given IDs, those matching the filter, or all.

    The consumer's worker delivers each event once, within a second or two if it is running; the payload has the
    key "replay". An event that fails again is kept as failed, as before.
    """
    from pg_events.cli.failed import retry

    return retry(**given)


@failed.command("discard", short_help="Discard failed events.")
@_database
@_failed_choice
@_json_done
def discard_failed(**given: Any) -> int:
    """Discard failed events: those with the given IDs, those matching the filter, or all.

    They stay in the log, but are not delivered again. Events that they block are delivered.
    """
    from pg_events.cli.failed import discard

    return discard(**given)


@cli.group(cls=Group, short_help="List, pause, resume and drop consumers.")
@click.pass_context
def consumers(context: click.Context) -> None:
    """List, pause, resume or drop consumers. Each reads the log at its own pace; events it has not received are not pruned."""
    help_without_command(context)


@consumers.command("list", short_help="List consumers and how far behind each is.")
@_database
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_consumers(**given: Any) -> int:
    """List consumers: running workers, lag, failed events."""
    from pg_events.cli.consumers import list_consumers as run

    return run(**given)


@consumers.command("pause", short_help="Pause a consumer: its workers deliver nothing.")
@_database
@click.argument("name")
def pause_consumer(**given: Any) -> int:
    """Pause the consumer NAME: its workers finish their current calls, save the cursor and wait.

    The pause is kept in the database: it holds for all workers of the consumer, also for those started later.
    """
    from pg_events.cli.consumers import pause

    return pause(**given)


@consumers.command("resume", short_help="Resume a paused consumer.")
@_database
@click.argument("name")
def resume_consumer(**given: Any) -> int:
    """Resume the consumer NAME: its workers continue at the cursor."""
    from pg_events.cli.consumers import resume

    return resume(**given)


@consumers.command("drop", short_help="Delete a consumer: its cursor and failed events.")
@_database
@click.argument("name")
def drop_consumer(**given: Any) -> int:
    """Delete the consumer NAME: its cursor and its failed events.

    The log itself is not changed. A worker of that name would start as a new consumer. Stop a running worker
    of the consumer first.
    """
    from pg_events.cli.consumers import drop

    return drop(**given)


@cli.command(short_help="Delete old events from the log.")
@_database
@click.option("--keep", metavar="AGE", help="Keep events younger than AGE: 90m, 12h, 30d, 8w.")
@click.option("--keep-size", metavar="SIZE", help="Keep the newest events up to SIZE: 500MB, 10GB.")
@click.option("--unread", is_flag=True, help="Also delete events that some consumer has not received yet.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def prune(**given: Any) -> int:
    """Delete events older than AGE, and the oldest events while the log takes more than SIZE.

    Without either option, PG_EVENTS_RETENTION and PG_EVENTS_RETENTION_SIZE of the settings apply; if they are
    set, a worker prunes automatically. Events that some consumer has not received yet are kept, however old,
    unless --unread is given. Failed events are kept.
    """
    from pg_events.cli.prune import prune as run

    return run(**given)


def _topics(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the topics a shell offers."""
    from pg_events.cli.docs import topics

    return [topic for topic in topics() if topic.startswith(incomplete)]


@cli.command(short_help="Show the documentation, without a network.")
@click.argument("topic", required=False, shell_complete=_topics)
@click.option("--search", "word", metavar="WORD", help="Print the lines that contain WORD, of all topics or of TOPIC.")
def docs(**given: Any) -> int:
    """List the topics of the documentation, or show TOPIC.

    On a terminal a page is laid out and shown in a pager; in a pipe it is Markdown. --search prints the
    matching lines as topic:line: text, and exits with 1 if there are none.
    """
    from pg_events.cli.docs import docs as run

    return run(**given)


@cli.command(short_help="Remove pg_events from the database.")
@_database
@click.option("--plan", "show", is_flag=True, help="Show what would be removed; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done (with --plan: would be) as JSON.")
def teardown(**given: Any) -> int:
    """Remove all objects of pg_events: triggers, event triggers and the schema pgevents.

    This deletes the captured events, the consumers' cursors and the failed events. Your tables and their
    rows are not changed; each table is locked for a moment, one after another.
    """
    from pg_events.cli.build import teardown as run

    return run(**given)


@cli.command(short_help="Run a small shop on an embedded PostgreSQL.")
@click.option("--headless", is_flag=True, help="Run without the console for --seconds, then print a summary.")
@click.option(
    "--seconds", type=Number(min=0.1, max=1_000_000), default=10.0, show_default=True, help="Duration with --headless."
)
@click.option(
    "--rate", type=Number(min=0.1, max=10_000), default=20.0, show_default=True, help="Transactions per second."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def demo(**given: Any) -> int:
    """Run a small shop with live traffic on an embedded PostgreSQL.

    Starts a server in a temporary directory, builds, starts a worker and writers, and opens the console.
    Everything is removed at the end. Needs the extra: pip install "pg_events[demo]"

    The summary counts missing and duplicate events against the writers' own ledger of committed rows.
    """
    from pg_events.cli.demo import demo as run

    return run(**given)
