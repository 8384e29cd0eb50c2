"""Plans: from what is installed and what is wanted to steps, without a database."""

from dataclasses import replace

import pytest

from pg_events.errors import PgEventsError
from pg_events.triggers.catalog import EVENT_TRIGGERS, Installed, Server, Table, Trigger
from pg_events.triggers.plan import Wanted, digest, installable, migrations, plan, quoted

SERVER = Server("18.0", 180000, "shop", "builder", True, True, True, False, "7", True, True, True)
WANTED = Wanted({"include": "[]"}, 100)
TRIGGER = "CREATE TRIGGER x AFTER INSERT ON t"

DONE = Installed(
    version=max(number for number, _ in migrations()),
    settings={"include": "[]"},
    recorded={name: (digest(text), "same") for name, text in installable(WANTED).items()},
    functions=dict.fromkeys(installable(WANTED), "same"),
    event_triggers=dict.fromkeys(EVENT_TRIGGERS, "O"),
)


def table(
    oid: int, name: str, wanted: str | None, installed: str | None, disabled: bool = False, root: int | None = None
) -> Table:
    trigger = Trigger("insert", "x", wanted, installed, disabled)
    return Table(oid, "public", name, "table", "", "why", (trigger,), root or oid)


def actions(installed: Installed = DONE, *tables: Table) -> list[tuple[str, str]]:
    return [(step.action, step.table or step.object) for step in plan(SERVER, installed, tables, WANTED).steps]


def test_what_is_as_it_should_be_needs_no_step() -> None:
    made = plan(SERVER, DONE, [table(1, "t", TRIGGER, TRIGGER)], WANTED)

    assert made.steps == ()
    assert made.script == ""
    assert made.unchanged > len(installable(WANTED))


@pytest.mark.parametrize(
    ("wanted", "installed", "disabled", "action"),
    [
        (TRIGGER, None, False, "create"),
        (TRIGGER, TRIGGER + " old", False, "replace"),
        (TRIGGER, TRIGGER, True, "enable"),
        (None, TRIGGER, False, "drop"),
    ],
)
def test_a_trigger_gets_the_step_it_needs(
    wanted: str | None, installed: str | None, disabled: bool, action: str
) -> None:
    assert actions(DONE, table(1, "t", wanted, installed, disabled)) == [(action, "public.t")]


def test_only_dropping_a_trigger_locks_readers_out() -> None:
    tables = [table(1, "a", None, TRIGGER), table(2, "b", TRIGGER, None), table(3, "c", TRIGGER, TRIGGER, True)]

    locks = [step.lock for step in plan(SERVER, DONE, tables, WANTED).steps]

    assert locks == ["ACCESS EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE ROW EXCLUSIVE"]


def test_a_tree_that_changes_its_way_is_one_transaction_and_a_new_one_is_not() -> None:
    changing = [table(1, "p", None, TRIGGER), table(2, "p1", TRIGGER, None, root=1)]
    new = [table(3, "q", TRIGGER, None), table(4, "q1", TRIGGER, None, root=3)]

    steps = plan(SERVER, DONE, [*changing, *new], WANTED).steps

    assert [step.relation for step in steps] == [1, 1, 3, 4]


def test_a_first_build_makes_the_schema_before_all_else() -> None:
    found = actions(Installed(), table(1, "t", TRIGGER, None))

    assert found[0] == ("create", "schema pgevents (0001_log)")
    assert found[-1] == ("create", "public.t")


def test_a_function_changed_by_hand_or_by_a_release_is_replaced() -> None:
    by_hand = replace(DONE, functions=DONE.functions | {"capture": "other"})
    older = replace(DONE, recorded=DONE.recorded | {"capture": ("older", "same")})

    assert actions(by_hand) == actions(older) == [("replace", "function pgevents.capture()")]
    assert "by hand" in plan(SERVER, by_hand, [], WANTED).steps[0].reason
    assert "release" in plan(SERVER, older, [], WANTED).steps[0].reason


def test_a_disabled_event_trigger_is_mended_or_told_of() -> None:
    disabled = replace(DONE, event_triggers=dict.fromkeys(EVENT_TRIGGERS, "D"))

    assert actions(disabled) == [("create", "event triggers")]
    made = plan(replace(SERVER, may_create_event_triggers=False), disabled, [], WANTED)
    assert made.steps == ()
    assert "builder may not create event triggers" in made.warnings[0]


def test_a_newer_schema_than_this_release_knows_is_left_alone() -> None:
    with pytest.raises(PgEventsError, match="upgrade pg_events"):
        plan(SERVER, replace(DONE, version=99), [], WANTED)


def test_a_setting_is_data_in_the_script() -> None:
    made = plan(SERVER, DONE, [], Wanted({"include": "it's"}, 100))

    assert "'it''s'" in made.script


def test_a_quote_in_a_name_is_doubled() -> None:
    assert quoted('weird "Table".name') == '"weird ""Table"".name"'


def test_a_script_does_what_hangs_together_in_one_transaction_and_waits_for_no_lock_for_long() -> None:
    steps = plan(
        SERVER, DONE, [table(1, "p", None, TRIGGER), table(2, "p1", TRIGGER, None, root=1), table(3, "q", TRIGGER, None)], WANTED
    )  # fmt: skip

    tree, single, rest = steps.script.split("commit;\n")

    assert rest == ""
    assert tree.startswith("begin;\nset local lock_timeout = '200ms';\n")
    assert tree.index('lock table only "public"."p" in ACCESS EXCLUSIVE mode') < tree.index("drop trigger")
    assert single.count("lock table") == 0


def test_migrations_are_numbered_without_a_gap_and_none_twice() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))
