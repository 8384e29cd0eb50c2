"""How two outputs of a suite are compared: what is expected to differ is told apart from what is not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installcheck.compare import Compared, Rule, compare, rules
from tests.installcheck.suites import Outcome

Judge = Callable[..., Compared]
LISTED = Rule("suite/*", re.compile("^ours "), "triggers listed")


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """`judge(before, after)` compares two outputs of one test."""

    def judge(before: str, after: str, passed: frozenset[str] = frozenset()) -> Compared:
        outcomes: list[Outcome] = []
        for name, text in (("off", before), ("on", after)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "one.out").write_text(text)
            outcomes.append(Outcome(tmp_path / name, passed, 0))
        off, on = outcomes
        return compare("suite", off, on, [LISTED])

    return judge


def test_outputs_that_differ_in_blanks_and_rulers_are_explained(judge: Judge) -> None:
    assert judge(" a | b\n---+---\n", " a  | b\n----+----\n").explained == {"one": ["widths of columns"]}


def test_expected_lines_and_their_count_are_explained(judge: Judge) -> None:
    compared = judge("a\n(1 row)\n\nb\n", "a\nours x\n(2 rows)\n\nb\n")

    assert compared.explained == {"one": ["triggers listed"]}
    assert (compared.same, compared.unexplained) == (0, {})


def test_a_count_is_explained_by_the_hunk_before_it(judge: Judge) -> None:
    assert judge("a\nb\n(2 rows)\n", "a\nours x\nb\n(3 rows)\n").unexplained == {}
    assert judge("a\nb\n(2 rows)\n", "a\nb\n(3 rows)\n").unexplained != {}


def test_a_line_that_no_rule_knows_is_shown_and_no_other_hunk(judge: Judge) -> None:
    compared = judge("a\nb\nc\n", "a\nours x\nb\nERROR: no\n")

    assert compared.explained == {}
    assert compared.unexplained["one"].splitlines()[1:] == ["-c", "+ERROR: no"]


def test_two_outputs_that_postgresql_accepts_are_the_same(judge: Judge) -> None:
    assert judge("a\n", "b\n", frozenset({"one"})).same == 1


def test_a_file_that_is_missing_on_one_side_differs(judge: Judge, tmp_path: Path) -> None:
    judge("a\n", "b\n")
    (tmp_path / "on" / "one.out").unlink()

    compared = compare("suite", Outcome(tmp_path / "off", frozenset(), 0), Outcome(tmp_path / "on", frozenset(), 0), [])

    assert list(compared.unexplained) == ["one"]


def test_the_list_of_expected_differences_can_be_read() -> None:
    assert all(rule.because for rule in rules())
