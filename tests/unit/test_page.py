"""Tables on stdout."""

import io

from rich.console import Console
from rich.text import Text

from pg_events.cli.page import plain, table


def test_a_plain_table_is_what_rich_would_print_without_style() -> None:
    headers = ["table", "I U D T", "why"]
    rows = [[Text("public.漢字"), Text("✓ ✓ - ✓"), Text("")], [Text("s.orders", "bold red"), Text("·"), Text("a view")]]
    grid = table(*headers)
    for row in rows:
        grid.add_row(*row)
    file = io.StringIO()
    Console(file=file, width=200).print(grid)

    assert plain(headers, rows).split("\n") == [line.rstrip() for line in file.getvalue().splitlines()]
