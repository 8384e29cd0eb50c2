"""The table in README.md has every row of the matrix, names tests that are there, and no limit that is not documented."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = range(1, 43)
CELLS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TESTS / "faults/README.md").read_text("utf-8").splitlines()
    if re.match(r"\| \d", line)
]
LISTED = {int(number): re.findall(r"`(\S+\.py::\w+)`", tests) for number, _, tests, _ in CELLS}


def functions(file: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE))


def test_every_row_has_a_line_and_each_line_a_test_or_a_limit() -> None:
    assert [int(number) for number, *_ in CELLS] == list(ROWS)
    assert not [number for number, _, tests, limit in CELLS if not tests and not limit]


def test_every_test_that_is_named_is_there() -> None:
    for name in (name for names in LISTED.values() for name in names):
        file, _, function = name.partition("::")
        assert function in functions(TESTS / file), name


def test_every_test_of_a_row_is_named_in_its_line() -> None:
    for file in (TESTS / "faults").glob("test_*.py"):
        for function in functions(file):
            if found := re.match(r"test_rows?_(\d+)_(?:and_(\d+)_)?", function):
                for number in filter(None, found.groups()):
                    assert f"faults/{file.name}::{function}" in LISTED[int(number)], f"{function} in row {number}"


def test_every_limit_is_documented() -> None:
    documented = " ".join((TESTS.parent / "pg_events/docs/guarantees.md").read_text("utf-8").split())
    assert not [limit for *_, limit in CELLS if limit not in documented]
