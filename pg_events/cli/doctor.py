"""`doctor`: problems and their remedies."""

import json
import shutil
import sys
import textwrap
from dataclasses import asdict

import click
from rich.text import Text

from pg_events.cli.database import translated
from pg_events.cli.page import Page
from pg_events.cli.terminal import is_terminal, say
from pg_events.config.settings import load
from pg_events.doctor.checks import examine
from pg_events.doctor.findings import Finding
from pg_events.text import clean, counted

_SIGNS = {"ok": ("✓", "green"), "problem": ("✗", "bold red"), "unknown": ("?", "yellow")}
_INDENT = 15


def doctor(settings: str | None, database_url: str | None, as_json: bool) -> int:
    """Find problems of the database, the installation and the consumers, and suggest remedies."""
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    with translated(chosen.database_url):
        findings = examine(chosen)
    problems = [finding for finding in findings if finding.state == "problem"]
    unknown = [finding for finding in findings if finding.state == "unknown"]
    if as_json:
        shown = {"ok": not problems, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(shown, default=str))
    else:
        _show(findings)
    words = [counted(len(problems), "problem") if problems else "no problems found"]
    if unknown:
        words.append(f"{counted(len(unknown), 'check')} could not be made")
    say(", ".join(words))
    return 1 if problems else 0


def _show(findings: list[Finding]) -> None:
    page = Page()
    width = max(40, shutil.get_terminal_size().columns) if is_terminal(sys.stdout) else 10_000
    for finding in findings:
        sign, style = _SIGNS[finding.state]
        for number, line in enumerate(textwrap.wrap(clean(finding.text), width - _INDENT, break_on_hyphens=False)):
            head = Text(f"{sign} {finding.name:12} ", style) if number == 0 else Text(" " * _INDENT)
            page.print(head + Text(line), soft_wrap=True)
        if finding.remedy:
            for number, line in enumerate(
                textwrap.wrap(clean(finding.remedy), width - _INDENT - 2, break_on_hyphens=False)
            ):
                page.print(Text(" " * _INDENT + ("→ " if number == 0 else "  ") + line), soft_wrap=True)
