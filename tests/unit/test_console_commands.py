"""The commands behind `:`, read and completed without a console."""

import pytest

from pg_events.errors import UsageError
from pg_events_tui.commands.completion import Completer, Completion
from pg_events_tui.commands.table import COMMANDS, Call, completion, listed, parse


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("open shop.jsonl", "open", {"path": "shop.jsonl"}),
        (':open "my shop.jsonl"', "open", {"path": "my shop.jsonl"}),
        ("write @shown a.csv", "write", {"selector": "@shown", "path": "a.csv"}),
        ("write csv @marked a", "write", {"form": "csv", "selector": "@marked", "path": "a.csv"}),
        ("write jsonl @tx a.jsonl.gz", "write", {"form": "jsonl", "selector": "@tx", "path": "a.jsonl.gz"}),
        ("record start a.jsonl table:orders tag:\"ALTER TABLE\"", "record start",
         {"path": "a.jsonl", "filter": 'table:orders tag:"ALTER TABLE"'}),
        ("replay @failed", "replay", {"events": "@failed", "mode": ""}),
        ("replay log to a:b", "replay", {"events": "log", "callback": "a:b", "mode": ""}),
        ('replay "my shop.jsonl" to shop.handlers:on_order', "replay",
         {"events": "my shop.jsonl", "callback": "shop.handlers:on_order", "mode": ""}),
        ("replay @marked to a.b real speed max", "replay",
         {"events": "@marked", "callback": "a.b", "mode": "real", "speed": "max"}),
        ("replay @tx plan", "replay", {"events": "@tx", "mode": "plan"}),
        ("replay @shown speed 2x", "replay", {"events": "@shown", "speed": "2x"}),
        ("record   start a.jsonl", "record start", {"path": "a.jsonl", "filter": ""}),
        ("record stop", "record stop", {}),
        ("goto 2026-08-22 14:01", "goto", {"place": "2026-08-22 14:01"}),
        ("filter paid", "filter", {"kept": "paid"}),
        ("filter save paid", "filter save", {"kept": "paid"}),
        ("columns seq, op,changed", "columns", {"columns": "seq, op,changed"}),
        ("columns", "columns", {"columns": ""}),
        ("plan", "plan", {"tables": ""}),
        ("plan orders, public.s*", "plan", {"tables": "orders, public.s*"}),
        ("readonly on", "readonly", {"onoff": "on"}),
        ("clear view", "clear view", {}),
    ],
)  # fmt: skip
def test_a_command_is_read(text, name, arguments):
    assert parse(text) == Call(name, arguments)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a command is missing"),
        ("opne x", "there is no command 'opne'; did you mean open?"),
        ("zzz", "there is no command 'zzz'; Tab shows all"),
        ("record", "record what? record start or record stop"),
        ("open", "PATH is missing: open PATH"),
        ("write a.csv", "'a.csv' selects nothing; there are @shown @marked @focus @tx @all"),
        ("write @shown", "PATH is missing: write [jsonl|csv|sql] @shown PATH"),
        ("write csv @shown a.sql", "'a.sql' ends in .sql and is to be csv"),
        ("replay", "@shown|FILE is missing: replay @shown|FILE [to CALLBACK] [plan|real] [speed 2x]"),
        ("replay @gone to a.b", "'@gone' selects nothing; there are @shown @marked @focus @tx @all @failed log and"),
        ("replay @shown to", "to CALLBACK is missing: replay "),
        ("replay @shown to nothing", "'nothing' is no callback: name it as my_module.function"),
        ("replay @shown speed 3x", "'3x' is no speed; there are 0.1x 0.5x 1x 2x 5x 10x 100x max"),
        ("replay @shown a.b", "'a.b' is too much: replay @shown|FILE [to CALLBACK]"),
        ("readonly maybe", "'maybe' is neither on nor off"),
        ("quit now", "'now' is too much: quit"),
        ("open a b", "'b' is too much: open PATH"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_value_and_the_remedy(text, problem):
    with pytest.raises(UsageError) as caught:
        parse(text)

    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


def test_names_behind_each_other_are_told_apart():
    assert listed('orders, public.s*  "my table",x') == ["orders", "public.s*", "my table", "x"]


def known(kind, begin):
    there = {
        "kept": ["paid", "pending"],
        "tables": ["public.orders", "public.stock"],
        "columns": ["seq", "op", "size"],
        "path": ["a.jsonl", "b.csv"],
        "callback": ["shop.on_order", "shop.on_schema"],
    }
    return [one for one in there.get(kind, ()) if one.startswith(begin)]


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("wr", ["write "]),
        ("re", ["replay ", "record start ", "record stop", "readonly "]),
        ("record st", ["record start ", "record stop"]),
        ("write ", ["jsonl", "csv", "sql", "@shown", "@marked", "@focus", "@tx", "@all"]),
        ("write @", ["@shown", "@marked", "@focus", "@tx", "@all"]),
        ("write csv @m", ["@marked"]),
        ("write @shown a", ["a.jsonl"]),
        ("plan public.o", ["public.orders"]),
        ("plan public.orders public.s", ["public.stock"]),
        ("columns seq,s", ["seq", "size"]),
        ("replay ", ["@shown", "@marked", "@focus", "@tx", "@all", "@failed", "log", "a.jsonl", "b.csv"]),
        ("replay @f", ["@focus", "@failed"]),
        ("replay @shown ", ["to ", "plan", "real", "speed "]),
        ("replay @shown t", ["to "]),
        ("replay @shown to ", ["shop.on_order", "shop.on_schema"]),
        ("replay @shown to shop.on_s", ["shop.on_schema"]),
        ("replay @shown to a.b ", ["plan", "real", "speed "]),
        ("replay @shown real s", ["speed "]),
        ("replay @shown speed 1", ["1x", "10x", "100x"]),
        ("replay @shown speed 1x ", []),
        ("filter pa", ["paid"]),
        ("filter s", ["filter save "]),
        ("filter save p", ["paid", "pending"]),
        ("readonly ", ["on", "off"]),
        ("quit ", []),
    ],
)
def test_what_is_typed_can_be_completed(text, candidates):
    assert list(completion(text, known).candidates) == candidates


def test_tab_completes_what_is_certain_and_then_goes_round():
    completer = Completer(lambda text: completion(text, known))

    assert completer.press("filter save p") == "filter save paid"
    assert completer.press("filter save paid") == "filter save pending"
    assert completer.press("filter save pending") == "filter save paid"
    assert completer.press("filter save paid", back=True) == "filter save pending"
    assert completer.press("wri") == "write "
    assert completer.press("nothing like it") == "nothing like it"


def test_tab_goes_as_far_as_all_candidates_agree():
    completer = Completer(lambda text: Completion(0, ["record start", "record stop"]))

    assert completer.press("r") == "record st"
    assert completer.press("record st") == "record start"


def test_every_command_reads_its_own_usage():
    examples = {
        "path": "a.jsonl", "selector": "@shown", "form": "jsonl", "onoff": "on", "to callback": "to a.b", "mode": "real",
        "speed speed": "speed 2x",
    }  # fmt: skip
    for command in COMMANDS:
        line = " ".join([command.name, *(examples.get(kind.rstrip("?…"), "x") for kind in command.takes)])
        assert parse(line).name == command.name
