"""`demo`: all parts together, on an embedded PostgreSQL."""

import json
import signal
import sys
import time
from types import FrameType

import click

from pg_events.cli.terminal import is_terminal, prepare_console, say


def demo(headless: bool, seconds: float, rate: float, as_json: bool) -> int:
    """Run a small shop with live traffic on an embedded PostgreSQL."""
    if not headless and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        say("no terminal: running headless")
        headless = True
    if not headless:
        prepare_console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    from pg_events.demo.run import running

    say("starting PostgreSQL, a shop, a worker and its traffic …")
    with running(rate) as live:
        if headless:
            say(f"running for {seconds:g} s")
            time.sleep(seconds)
        else:
            from pg_events_tui import run

            run(live.settings, remember=False)
            say("stopping …")
        summary = live.finish()
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    else:
        click.echo(
            f"{summary.writes} rows written in {summary.seconds:g} s, {summary.captured} captured, {summary.delivered} delivered;"
            f" {summary.missing} missing, {summary.duplicates} duplicates;"
            f" commit to callback p50 {summary.latency_ms.p50} ms, p99 {summary.latency_ms.p99} ms"
        )
    return 1 if summary.missing or summary.duplicates else 0


def _end(number: int, _frame: FrameType | None) -> None:
    """Exit through every `finally` when the terminal is closed or the process is killed."""
    raise SystemExit(128 + number)
