"""The documented replays, typed from top to bottom."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGE = (ROOT / "pg_events/docs/replay.md").read_text("utf-8")
CODE = re.search(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]
PROGRAMS = {"pg_events": [sys.executable, "-m", "pg_events"], "python": [sys.executable]}


def commands(text: str) -> list[str]:
    """The lines of its first block of commands."""
    return re.search(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1].splitlines()


@pytest.fixture
def environment(url, execute, tmp_path) -> dict[str, str]:
    """The module of the README's quick start, on a database with four events."""
    for name, code in re.findall(r"^```python\n# (my_module/\w+\.py)\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code.replace("postgresql://app@localhost/shop", url))
    execute(
        url,
        "create table orders (id integer primary key, status text, total numeric(10, 2))",
        "insert into orders values (1, 'new', 1.50), (2, 'new', 2)",
        "update orders set status = 'paid'",
    )
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path), "COLUMNS": "120"}


def typed(lines: list[str], environment: dict[str, str]) -> dict[str, str]:
    """Line -> what it printed."""
    printed: dict[str, str] = {}
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        answer = subprocess.run([*PROGRAMS[program], *arguments], capture_output=True, text=True, env=environment)
        assert answer.returncode == 0, (line, answer.stdout, answer.stderr)
        printed[line] = answer.stdout + answer.stderr
    return printed


def test_every_command_of_the_page_and_its_example_work_in_order(environment) -> None:
    lines = commands(PAGE)

    printed = typed(lines, environment)
    example = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)

    assert len(lines) >= 10
    assert "status: new → paid" in "".join(printed.values())
    assert "4 passed" in next(text for line, text in printed.items() if line.startswith("python"))
    assert "'status': ('new', 'paid')" in example.stdout
    assert example.stdout.splitlines()[-1] == "4 0 ()"


def test_every_command_of_the_readme_works_in_order(environment) -> None:
    printed = typed(commands(README.partition("\n## Replay\n")[2]), environment)

    assert len(printed) == 4
    assert "orders.status: new → paid" in "".join(printed.values())
