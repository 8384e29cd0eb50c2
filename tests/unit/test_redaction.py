"""Values are masked by column, by path into JSON, and nothing else of the payload changes."""

import json
from typing import Any

import pytest

from pg_events.event import Record
from pg_events.files.redaction import MASKED, Redaction, names_column

META = {
    "card": "4111", "holder": {"name": "Ann", "cards": [{"number": 17, "ok": True}, {"number": "18"}, 19]}, "note": "card",
    "é": [1, {"card": "5"}],
}  # fmt: skip


def masked(*patterns: str, value: Any = META) -> tuple[Any, list[str]]:
    row = json.dumps({"id": 1, "meta": value, "card": "top"}, ensure_ascii=False)
    record = Record(1, 1, "2026-08-22T12:00:00+00:00", "I", "public", "orders", "app", "shop", None, None, row, None)
    redaction = Redaction(patterns)
    found = json.loads(redaction(record.payload))["new_data"]
    assert found["id"] == 1
    return found, redaction.unused


def test_a_path_masks_the_value_it_leads_to_and_no_other() -> None:
    found, unused = masked("orders.meta.card")

    assert MASKED.fullmatch(found["meta"].pop("card"))
    assert found["meta"] == {name: value for name, value in META.items() if name != "card"}
    assert found["card"] == "top"
    assert unused == []


@pytest.mark.parametrize("pattern", ["meta.holder.cards.number", "Public.Orders.META.holder.cards.number", "*.number"])
def test_elements_of_arrays_count_as_their_array(pattern: str) -> None:
    cards = masked(pattern)[0]["meta"]["holder"]["cards"]

    assert cards[0] == {"number": 0, "ok": True}
    assert MASKED.fullmatch(cards[1]["number"])
    assert cards[2] == 19


def test_a_path_to_an_object_masks_all_that_is_in_it() -> None:
    meta = masked("meta.holder")[0]["meta"]

    assert meta["holder"]["cards"][0] == {"number": 0, "ok": False}
    assert meta["holder"]["cards"][2] == 0
    assert MASKED.fullmatch(meta["holder"]["name"])
    assert (meta["card"], meta["note"], meta["é"]) == ("4111", "card", META["é"])


def test_an_array_of_objects_has_paths_too() -> None:
    found = masked("meta.a", value=[{"a": "x", "b": "y"}, "z", [{"a": 5}]])[0]["meta"]

    assert MASKED.fullmatch(found[0].pop("a"))
    assert found == [{"b": "y"}, "z", [{"a": 0}]]


def test_a_path_that_leads_nowhere_is_told_and_masks_nothing() -> None:
    assert masked("meta.holder.crd", "meta.note.x") == (
        {"id": 1, "meta": META, "card": "top"},
        ["meta.holder.crd", "meta.note.x"],
    )


def test_a_bare_name_is_a_column_and_no_key_of_its_json() -> None:
    found, _ = masked("card", "meta.none")

    assert found["meta"] == META
    assert MASKED.fullmatch(found["card"])


@pytest.mark.parametrize(
    ("pattern", "is_named"),
    [
        ("meta", True), ("orders.meta", True), ("meta.card", True), ("public.orders.meta.card.x", True), ("*.meta", True),
        ("public.*.meta.card", True), ("public.*.born", False), ("metal.card", False), ("other.meta.card", False),
    ],
)  # fmt: skip
def test_a_column_is_named_by_paths_into_it(pattern: str, is_named: bool) -> None:
    """What undoes a change leaves such a column out."""
    assert names_column(pattern, "public", "orders", "meta") is is_named
