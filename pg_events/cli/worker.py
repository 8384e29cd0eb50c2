"""`worker`: events into callbacks, until it is told to stop."""

import logging
import signal
from types import FrameType

import click

from pg_events.cli import database_options, say
from pg_events.cli.log import set_up_log
from pg_events.settings import load


@click.command()
@database_options
@click.option(
    "--name", default="default", show_default=True, metavar="NAME", help="The consumer: each has a cursor of its own."
)
@click.option("--once", is_flag=True, help="Deliver what is there, then exit.")
@click.option(
    "--from",
    "start",
    type=click.Choice(["newest", "oldest"]),
    default="newest",
    show_default=True,
    help="Where a consumer that is new starts; one that is known goes on where it stopped.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell every retry and reconnect.")
def worker(settings: str | None, database_url: str | None, name: str, once: bool, start: str, verbose: bool) -> int:
    """Call your functions with every change.

    Events are handed over in order, at least once; the cursor is saved in the database behind them. A
    callback that raises is tried again, then its event is kept as failed and the others go on: see
    pg_events failed. A lost connection is taken up again for ever. SIGTERM and Ctrl-C finish the event
    in hand, save, and exit. A second worker of the same name stands by and takes over.
    """
    from pg_events.worker import Worker

    set_up_log(verbose)
    log = logging.getLogger("pg_events.worker")
    chosen = load(settings, database_url)
    one = Worker(
        chosen,
        name,
        from_oldest=start == "oldest",
        on_ready=lambda: log.info("consumer %s: delivering", name),
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        one.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    report = one.run(once=once)
    say(f"delivered {report.delivered}, failed {report.failed}, retried {report.retried}")
    return 1 if report.failed else 0
