"""Coverage: which tables are captured, and the plan, its review and what came of it."""

import pytest

from pg_events.errors import NotPermitted

pytestmark = pytest.mark.timeout(60)


def test_problems_come_first_with_letters_and_words(console):
    async def scenario(c):
        await c.press("2")
        await c.tick()

        rows = [" ".join(line.split()) for line in c.lines() if "public." in line and line.startswith("│")]
        assert "public.refunds - - - - MISSING" in rows[0]
        assert "public.payments ✓ - ✓ ✓ PARTIAL" in rows[1]
        assert "public.customers o o o o DISABLED" in rows[2]
        assert "public.audit_log x x x x excluded" in rows[5]
        assert "2 Coverage ▲3" in c.lines()[1]
        assert "2 of 5 covered" in c.text()

    console(scenario)


def test_u_shows_problems_only_and_slash_filters_by_name(console):
    async def scenario(c):
        await c.press("2", "u")
        await c.tick()
        assert "3 of 6 tables" in c.text()
        await c.press("u", "slash")
        await c.type("or")
        await c.press("enter")
        await c.tick()
        assert "1 of 6 tables" in c.text()
        await c.press("F")
        await c.tick()
        assert "6 of 6 tables" in c.text()

    console(scenario)


def test_a_key_right_behind_the_filter_means_what_it_shows(console):
    async def scenario(c):
        await c.press("2")
        await c.tick()
        c.app.tick = lambda: None  # as on a busy machine
        await c.burst("/", *"stock", "enter", "b")
        await c.until(lambda: c.backend.planned == [(2,)])

    console(scenario)


def test_a_plan_is_reviewed_then_applied_and_every_step_is_told(console):
    async def scenario(c):
        await c.press("2")
        await c.tick()
        await c.press("b")
        await c.shows("Plan: 4 changes, 152 unchanged")
        assert c.backend.planned == [(4,)]
        assert "SHARE ROW EXCLUSIVE" in c.text()
        assert "create trigger insert;" in c.text()
        assert c.backend.applied == []

        await c.press("y")
        await c.shows("applied 4, failed 0")
        assert c.text().count(" ok ") == 4
        await c.press("escape")
        await c.until(lambda: "▲2" in c.lines()[1])

    console(scenario)


@pytest.mark.parametrize("key", ["n", "escape", "b", "B", "enter", "space"])
def test_nothing_but_y_applies(console, key):
    async def scenario(c):
        await c.press("2", "B")
        await c.shows("Plan: 4 changes")
        await c.press(key)
        await c.press("escape")
        await c.tick()

        assert c.backend.planned == [None]
        assert c.backend.applied == []

    console(scenario)


def test_a_step_that_fails_stays_on_screen_with_its_reason(console, make):
    backend = make.backend()
    backend.failing = {"trigger 00_pgevents_update"}

    async def scenario(c):
        await c.press("2", "B")
        await c.shows("Plan: 4 changes")
        await c.press("y")
        await c.shows("applied 3, failed 1")
        assert "FAIL" in c.text()
        await c.press("j")
        await c.shows("needs the right: grant trigger")

    console(scenario, backend=backend)


def test_a_plan_that_cannot_be_made_says_why(console, make):
    async def scenario(c):
        c.backend.problem = NotPermitted("role reader may not create a schema")
        await c.press("2", "B")
        await c.shows("role reader may not create a schema")
        await c.press("y")
        assert c.backend.applied == []

    console(scenario)


def test_read_only_says_why_it_does_not_build(console):
    async def scenario(c):
        await c.press("2", "b")
        await c.toast("started with --read-only")
        assert c.backend.planned == []
        assert "[read-only]" in c.text()

    console(scenario, read_only=True)


def test_the_events_of_a_table_are_shown_in_live(console, make):
    async def scenario(c):
        await c.press("2")
        await c.tick()
        c.app.screen.query_one("#tables").select_key(2)
        await c.press("L")
        await c.tick()

        assert c.app.current_mode == "live"
        assert 'table:"public.stock"' in c.lines()[2]
        assert len(c.app.stream.live) == 10

    console(scenario, history=[make.record(n, table_name="stock" if n % 3 == 0 else "orders") for n in range(30)])


def test_marked_tables_are_planned_left_out_and_taken_in_together(console):
    async def scenario(c):
        await c.press("2")
        await c.tick()
        await c.press("m", "j", "m", "j")
        await c.tick()
        assert "2 marked" in c.text()
        assert [line[1] for line in c.lines() if "public." in line and line.startswith("│")][:3] == ["m", "m", ">"]

        await c.press("b")
        assert "Plan for which tables?" in c.text()
        await c.press("m")
        await c.shows("for 2 tables: public.payments, public.refunds")
        assert c.backend.planned == [(3, 4)]
        await c.press("escape", "b", "e")
        await c.shows("for public.customers")
        assert c.backend.planned == [(3, 4), (5,)]

        await c.press("escape", "X", "m")
        await c.shows("leaving out 2 tables: public.payments, public.refunds")
        assert c.backend.asked[-1] == ((), ("public.payments", "public.refunds"))
        await c.press("y")
        await c.shows("applied 4, failed 0")
        assert c.backend.chosen == [((), ("public.payments", "public.refunds"))]

        await c.press("escape")
        c.app.screen.plans.marks.clear()
        c.app.screen.plans.marks.update({6})
        await c.press("X", "m")
        await c.shows("taking in public.audit_log")
        assert c.backend.asked[-1] == (("public.audit_log",), ())

    console(scenario)


def test_what_cannot_be_captured_cannot_be_left_out_and_what_is_out_stays_out(console, make):
    backend = make.backend()
    backend.tables += [make.table(7, "totals", "unsupported", "----", "a view has no triggers")]

    async def scenario(c):
        await c.press("2")
        await c.tick()
        c.app.screen.plans.marks.update({7})
        await c.press("X", "m")
        await c.toast("public.totals cannot be captured: a view has no triggers")
        assert c.backend.planned == []

        c.app.screen.plans.marks.update({1, 6})
        await c.press("X", "m")
        await c.shows("leaving out public.orders")
        assert c.backend.asked[-1] == ((), ("public.orders",))

    console(scenario, backend=backend)


def test_a_failing_question_keeps_what_was_known(console):
    async def scenario(c):
        await c.press("2")
        await c.tick()
        c.backend.problem = NotPermitted("permission denied for schema pgevents")
        c.app.database.load_coverage()
        await c.shows("permission denied for schema pgevents")
        assert "public.refunds" in c.text()

    console(scenario)


def test_a_bug_in_the_backend_is_shown_and_not_waited_for(console, make):
    backend = make.backend()
    backend.problem = ZeroDivisionError("oops [/]\n\x1b[31mred")

    async def scenario(c):
        await c.press("2")
        await c.shows("cannot ask the database")
        assert "ZeroDivisionError: oops [/] ␛[31mred" in c.text()
        assert "asking the database" not in c.text()

        await c.press("B")
        await c.shows("cannot be planned")
        assert "asking the database" not in c.text()

    console(scenario, backend=backend)


def test_a_bug_in_a_build_ends_it(console):
    async def scenario(c):
        await c.press("2", "B")
        await c.shows("Plan: 4 changes")
        c.backend.failing = None
        await c.press("y")
        await c.toast("the build failed: TypeError: ")

    console(scenario)


REASONS = {
    "insert, delete, truncate: captured by a trigger of another release": "orders",
    "only id, status; updates when new.status is distinct from old.status · row by row: a trigger of yours follows": "stock",
    "no triggers": "refunds",
}


@pytest.mark.parametrize("size", [(200, 50), (120, 36), (99, 30), (80, 24), (60, 20)])
def test_the_whole_reason_can_be_read_at_every_width(console, make, size):
    backend = make.backend()
    backend.tables = [make.table(n, name, "partial", "ynyy", f"{reason}; run: pg_events build")
                      for n, (reason, name) in enumerate(REASONS.items())]  # fmt: skip
    backend.tables += [make.table(n, f"table_{n}", "covered") for n in range(10, 60)]  # and so a scrollbar

    async def scenario(c):
        await c.press("2")
        await c.tick()
        cells = c.app.screen.query_one("#tables").scrollable_content_region.width
        rows = [row[1 : cells + 1] for row in c.lines()]
        assert not [row for row in rows if row.endswith("…")]
        text = " ".join(" ".join(rows).split())
        for reason in REASONS:
            assert reason in text, c.text()

    console(scenario, size=size, backend=backend)


def test_a_reason_below_its_table_belongs_to_it(console, make):
    backend = make.backend()
    backend.tables = [make.table(n, f"table_{n:02}", "partial", "ynyy", "a reason " * 12) for n in range(30)]

    async def scenario(c):
        def place(words):
            return next(n for n, row in enumerate(c.lines()) if words in row)

        await c.press("2")
        await c.tick()
        await c.press("j", "j", "k")
        assert c.app.screen.selected.name == "table_01"
        assert "public.table_01 " in c.cursor_line()

        await c.pilot.click(
            "#tables", offset=(20, place("public.table_02 ") - c.app.screen.query_one("#tables").region.y + 1)
        )
        await c.tick()
        assert c.app.screen.selected.name == "table_02"
        assert "public.table_02 " in c.cursor_line()

        await c.press("G")
        assert c.app.screen.selected.name == "table_29"
        assert "a reason" in c.lines()[place("public.table_29 ") + 1]
        await c.press("pageup", "pagedown", "home")
        assert c.app.screen.selected.name == "table_00"

    console(scenario, size=(80, 24), backend=backend)
