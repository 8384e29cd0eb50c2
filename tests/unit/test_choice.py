"""What is chosen, in words, as JSON, and from the settings to the database and back."""

import json

import pytest

from pg_events.config.settings import Settings
from pg_events.triggers.rules import EVERYTHING, Choice, Named, choices, parse, unmatched, with_choices, written

SETTINGS = Settings(
    include_columns={"public.users": ("id", "e*")},
    exclude_columns={"*": ("password",)},
    redact={"public.users": {"email": "hash", "card": "mask", "pin": "drop"}, "*": {"token": "drop"}},
    when={"public.orders": "new.total > 100"},
    skip_unchanged=("public.*",),
    capture_replicated=("public.orders",),
    row_triggers=("*",),
)


def test_settings_become_choices_by_kind_and_table() -> None:
    assert choices(SETTINGS) == {
        "only": {"public.users": ["id", "e*"]},
        "drop": {"*": ["password", "token"], "public.users": ["pin"]},
        "hash": {"public.users": ["email"]},
        "mask": {"public.users": ["card"]},
        "when": {"public.orders": ["new.total > 100"]},
        "skip_unchanged": {"public.*": ["*"]},
        "replicated": {"public.orders": ["*"]},
        "by_row": {"*": ["*"]},
    }
    assert written(Settings()) == "{}"


def test_what_the_database_kept_is_chosen_again() -> None:
    assert choices(with_choices(Settings(), written(SETTINGS))) == choices(SETTINGS)
    assert with_choices(SETTINGS, "{}") == Settings()


def test_a_table_about_which_nothing_is_said_is_captured_whole() -> None:
    assert parse(None) == EVERYTHING
    assert (EVERYTHING.words, EVERYTHING.as_json(), EVERYTHING.keeps_query) == ("", {}, True)


def test_columns_come_in_the_tables_order_with_their_earlier_names() -> None:
    found = parse(
        json.dumps(
            {"tables": [["public", "t"]], "drop": {"10": ["pw", "password"], "9": ["pin"]}, "when": ["new.a > 1"]}
        )
    )

    assert found == Choice(
        drop=("pin", "pw"), when=("new.a > 1",), tables=(("public", "t"),), earlier={"pw": ("password",)}
    )
    assert found.as_json() == {"drop": ["pin", "pw"], "when": ["new.a > 1"]}


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(only=()), "only no column · no SQL text"),
        (Choice(only=("id",), drop=("pin",)), "only id · without pin · no SQL text"),
        (Choice(mask=("a",), hash=("b", "c")), "a masked · b, c hashed · no SQL text"),
        (Choice(drop=tuple("abcdef")), "without a, b, c and 3 more · no SQL text"),
        (Choice(when=("new.a\n > 1",), skip_unchanged=True), "when new.a > 1 · no unchanged updates"),
        (
            Choice(replicated=True, by_row=True),
            "replicated changes, too",
        ),  # status says by itself what is captured by row
    ],
)
def test_a_choice_has_words(choice: Choice, words: str) -> None:
    assert choice.words == words


def test_a_pattern_is_read_as_the_database_reads_it() -> None:
    tables = [Named("public", "a_b", ("x.y", "50%", "[z]")), Named("other", "ab", ("id",))]

    def found(table: str, column: str) -> list[str]:
        return list(unmatched(Settings(exclude_columns={table: (column,)}), tables))

    assert found("public.a?b", "x.?") == found("a_b", "50%") == found("*", "[z]") == []
    assert found("axb", "x") == ["PG_EVENTS_EXCLUDE_COLUMNS: no covered table matches 'axb'"]
    assert found("a_b", "X.y") == ["PG_EVENTS_EXCLUDE_COLUMNS: there is no column 'X.y' in public.a_b"]
    assert found("*", "[xyz]") == [
        "PG_EVENTS_EXCLUDE_COLUMNS: there is no column '[xyz]' in any table that matches '*'"
    ]
