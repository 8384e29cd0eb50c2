"""The console's filter: what only the console knows, and how a text is completed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_events.errors import FilterError
from pg_events.filter.parser import parse
from pg_events_tui.commands.completion import Completer
from pg_events_tui.commands.filter_completion import completion
from pg_events_tui.model.filtering import ConsoleWord, Filtering, divided


def test_what_only_the_console_knows_is_taken_out_and_the_rest_keeps_its_place():
    assert divided("op:D is:marked tx:5") == ("op:D           tx:5", (ConsoleWord("marked", True),))
    assert divided("-is:gap is:failed") == (" " * 17, (ConsoleWord("gap", False), ConsoleWord("failed", True)))
    assert divided('"is:marked" is:ddl') == ('"is:marked" is:ddl', ())


@pytest.mark.parametrize("text", ["op:D or is:marked", "(is:gap)", "not is:failed op:U"])
def test_it_stands_beside_the_rest(text):
    filtering = Filtering()

    assert not filtering.apply(text, True)
    assert filtering.error is not None
    assert "stands beside the rest" in filtering.error.message
    assert text[filtering.error.position :].startswith("is:")


def test_a_filter_of_the_log_does_not_know_it():
    with pytest.raises(FilterError):
        parse("is:marked")


SEEN = {
    "table": ["orders", "order_items", "stock"],
    "user": ["app_rw"],
    "app": ["check out"],
    "column": ["status", "paid_ref"],
    "tag": ["ALTER TABLE"],
}


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("ta", ["table:", "tag:"]),
        ("op:U us", ["user:"]),
        ("table:o", ["orders", "order_items"]),
        ("-table:st", ["stock"]),
        ("table:orders|st", ["stock"]),
        ("(table:orders or user:", ["app_rw"]),
        ("app:", ['"check out"']),
        ("tag:", ['"ALTER TABLE"']),
        ("col:p", ["paid_ref"]),
        ("new.s", ["status"]),
        ("is:", ["ddl", "data", "extension", "marked", "edited", "failed", "gap"]),
        ("op:de", ["delete"]),
        ("ne", ["new."]),
        ("nothing:", []),
        ("xyz", []),
    ],
)
def test_fields_and_the_values_seen_so_far_complete_it(text, candidates):
    found = completion(text, lambda kind: SEEN.get(kind, ()))

    assert list(found.candidates) == candidates


@given(st.text(max_size=40))
def test_completing_keeps_what_was_typed_before_the_last_word(text):
    completer = Completer(lambda typed: completion(typed, lambda kind: SEEN.get(kind, ())))

    found = completion(text, lambda kind: SEEN.get(kind, ()))

    assert completer.press(text).startswith(text[: found.start])
