"""`docs`: the documentation that ships with the package."""

import sys

import click

from pg_events.cli.terminal import is_terminal, say
from pg_events.errors import UsageError
from pg_events.text import clean
from pg_events.text.pages import page, search, summary, topics


def docs(topic: str | None, word: str | None) -> int:
    """List the topics, show one, or print the lines that contain a word."""
    if word is not None:
        return _search(word, topics() if topic is None else (_known(topic),))
    if topic is None:
        _list()
    else:
        _show(page(_known(topic)))
    return 0


def _known(topic: str) -> str:
    name = topic.lower().removesuffix(".md")
    if name in topics():
        return name
    import difflib  # for mistakes only

    near = difflib.get_close_matches(name, topics(), n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(topics())}"
    raise UsageError(f"there is no topic {clean(topic)!r}; {remedy}")


def _search(word: str, chosen: tuple[str, ...]) -> int:
    """Print matching lines, whatever their case, as `topic:line: text`."""
    if not word.strip():
        raise UsageError("--search needs a word")
    matches = search(word, chosen)
    for match in matches:
        click.echo(f"{match.topic}:{match.number}: {match.text}")
    if not matches:
        say(f"no line contains {clean(word)!r}")
    return 0 if matches else 1


def _list() -> None:
    width = max(map(len, topics())) + 2
    if not is_terminal(sys.stdout):
        for topic in topics():
            click.echo(f"{topic:{width}}{summary(topic)}")
        return
    from rich.markup import escape

    from pg_events.cli.page import Page, table

    shown = table("topic", "")
    for topic in topics():
        shown.add_row(topic, escape(summary(topic).replace("`", "")))
    Page().print(shown)
    say("show one with: pg_events docs TOPIC")


def _show(text: str) -> None:
    """Show a page: laid out and in a pager on a terminal, as Markdown in a pipe."""
    if not is_terminal(sys.stdout):
        click.echo(text, nl=False)
        return
    from pg_events.cli.markdown import laid_out
    from pg_events.cli.page import Page

    paper = Page()
    with paper.capture() as printed:
        paper.print(laid_out(text))
    click.echo_via_pager(printed.get())
