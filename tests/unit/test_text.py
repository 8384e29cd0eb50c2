"""What reaches a terminal obeys nothing, breaks no line and tells no password."""

import time
import traceback
from pathlib import Path

import pytest

from pg_events.text import clean, describe_error, message, one_line, shorten, without_passwords


@pytest.mark.parametrize(
    ("hostile", "visible"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("bell\x07", "bell␇"),
        ("a\x00b", "a␀b"),
        ("a\x7fb", "a␡b"),
        ("a\x9b31m", "a\\u{9b}31m"),
        ("a\u202eb\u2066c\u200fd\u061ce", "a\\u{202e}b\\u{2066}c\\u{200f}d\\u{61c}e"),
        ("a\u2028b", "a\\u{2028}b"),
        ("a\ud800b", "a\ufffdb"),
        ("tab\tline\nreturn\r", "tab␉line␊return␍"),
    ],
)
def test_what_a_terminal_would_obey_becomes_visible(hostile: str, visible: str) -> None:
    assert clean(hostile) == visible


def test_only_tab_and_line_feed_pass_when_lines_are_kept() -> None:
    assert clean("a\tb\nc\rd\x0be\x1bf", keep_newlines=True) == "a\tb\nc␍d␋e␛f"


def test_ordinary_text_of_any_language_stays_as_it_is() -> None:
    text = "Grüße, שלום, 東京, 👩‍👩‍👧, \\ [/] 100%"

    assert clean(text) == text


def test_clean_text_can_always_be_encoded() -> None:
    everything = "".join(map(chr, range(0x11000)))

    clean(everything).encode()


def test_one_line_is_one_line() -> None:
    assert one_line("  two\n\n lines\u2028and\t\x1bmore ") == "two lines and ␛more"


@pytest.mark.parametrize(("width", "short"), [(9, "character"), (5, "char…"), (1, "…"), (0, ""), (-1, "")])
def test_text_is_cut_to_a_width(width: int, short: str) -> None:
    assert shorten("character", width) == short


@pytest.mark.parametrize(
    "text",
    [
        "could not use postgresql://shop:hunter2@db/shop",
        "could not use 'postgresql+psycopg://shop:hunter2 hunter2@db/shop'",
        "redis://:hunter2@cache",
        "postgresql://shop:hun@ter2:hunter2@db/shop",
        "host=db password=hunter2 user=shop",
        "host=db password='hunter2 \\' hunter2' user=shop",
        "sslpassword = hunter2",
    ],
)
def test_passwords_of_unknown_urls_are_masked(text: str) -> None:
    masked = without_passwords(text)

    assert "hunter2" not in masked
    assert "ter2" not in masked
    assert "***" in masked


def test_a_url_without_a_password_stays() -> None:
    text = "see https://example.org:8080/path or postgresql://shop@db/shop"

    assert without_passwords(text) == text


@pytest.mark.parametrize("unit", ["a://b:", "a.", "password='", "x"])
def test_masking_takes_no_quadratic_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    before = time.process_time()

    without_passwords(text)

    assert time.process_time() - before < 10


def error_of(source: str, file: Path) -> BaseException:
    file.write_text(source)
    try:
        exec(compile(source, str(file), "exec"), {})
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")


def test_an_error_is_described_with_the_users_own_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"

    error = error_of("import json\n\njson.loads('no')\n", file)

    assert describe_error(error) == f"{file}:3: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"


def test_a_syntax_error_is_described_without_the_line_it_quotes(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"

    error = error_of("URL = 'postgresql://u:hunter2@h' 'x\n", file)

    assert describe_error(error).startswith(f"{file}:1: SyntaxError: ")
    assert "hunter2" not in describe_error(error)


def test_an_error_without_a_text_or_a_place_is_named() -> None:
    assert describe_error(KeyError()) == "KeyError"


def test_an_error_whose_text_cannot_be_made_is_described_all_the_same() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise SystemExit(9)

    assert message(Broken()) == "<its text cannot be shown>"
    assert "Broken" in describe_error(Broken())
    assert traceback.format_exception(Broken())
