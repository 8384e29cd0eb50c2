"""Who builds, who delivers, who reads: what each kind of role can do, whoever built."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.security.ownership.conftest import KINDS, Place

Call = Callable[..., tuple[int, str]]

BUILDERS = ("superuser", "owner", "creator", "member")
SETTINGS = 'PG_EVENTS_DATA_UPDATE_CALLBACK = "mine:seen"\ndef seen(payload):\n    pass\n'
COMMANDS = {
    "build": ("build",),
    "worker": ("worker", "--once", "--from", "oldest", "--settings", "mine.py"),
    "status": ("status",),
    "doctor": ("doctor",),
    "listen": ("listen", "--since", "oldest", "--limit", "1"),
    "prune": ("prune", "--keep", "1d"),
    "teardown": ("teardown", "--yes"),
}
READS = {"status", "doctor", "listen"}
DELIVERS = READS | {"worker", "prune"}
BUILDS = DELIVERS | {"build", "teardown"}

MAY: dict[str, dict[str, set[str]]] = {
    # Who built -> who asks -> what is done.
    "superuser": {"superuser": BUILDS, "reader": READS, "worker": DELIVERS},
    "owner": {
        # A superuser's build takes the schema over, its teardown reads nothing; the rest would run the owner's code.
        "superuser": {"build", "teardown"},
        "owner": BUILDS,
        "member": BUILDS,
        "reader": READS,
        "worker": DELIVERS,
    },
    # The database's owner may more than the creator in this database, and less in the cluster.
    "creator": {"superuser": {"build", "teardown"}, "creator": BUILDS, "reader": READS, "worker": DELIVERS},
}
MAY["member"] = MAY["owner"]
"""Whoever is a member of the database's owner builds as the owner."""


@pytest.fixture
def settings(tmp_path: Path, call: Call) -> None:
    (tmp_path / "mine.py").write_text(SETTINGS)


def build(place: Place, call: Call, kind: str) -> tuple[int, str]:
    return call("build", "--database-url", place.url_of(kind))


@pytest.fixture
def tables(place: Place) -> None:
    """Everybody who can has a table; the builders may put triggers on each of them."""
    place.run("superuser", f'grant create on schema public to "{place.role("creator")}"')
    for kind in ("superuser", "owner", "creator", "member"):
        place.run(kind, f'create table "{kind}" (a integer); grant all on "{kind}" to public')


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.usefixtures("settings", "tables")
def test_each_role_can_do_what_it_is_there_for_and_nothing_else(place: Place, call: Call, builder: str) -> None:
    assert build(place, call, builder)[0] == 0
    granted = call(
        "build", "--grant-reader", place.role("reader"), "--grant-worker", place.role("worker"),
        "--database-url", place.url_of(builder),
    )  # fmt: skip
    assert granted[0] == 0, granted[1]
    place.run("owner", 'insert into "owner" values (1)')

    wrong: list[str] = []
    for kind in KINDS:
        may = MAY[builder].get(kind, set())
        for name, command in COMMANDS.items():
            if name in ("build", "teardown") and name in may:
                continue  # those change what is there: each has a test of its own
            code, text = call(*command, "--database-url", place.url_of(kind))
            green = code == 0 or (name == "doctor" and "✗ DDL" in text and text.count("✗") == 1)
            if green != (name in may):
                wrong.append(f"{kind}: {name} ended with {code}: {text[-300:]}")
            elif name not in may and name != "doctor" and code != 4:
                wrong.append(f"{kind}: {name} was refused with {code}, not 4: {text[-300:]}")

    assert wrong == []


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.usefixtures("tables")
def test_who_may_tear_down_leaves_nothing(place: Place, call: Call, builder: str) -> None:
    for kind in (kind for kind in BUILDERS if "teardown" in MAY[builder].get(kind, set())):
        assert build(place, call, builder)[0] == 0
        # Triggers on other roles' tables are those roles' to drop: a builder that is no superuser owns none but its own.
        if kind != "superuser":
            for other in BUILDERS:
                owner = place.role("owner" if builder == "member" else builder)
                place.run("superuser", f'alter table "{other}" owner to "{owner}"')

        code, text = call("teardown", "--yes", "--database-url", place.url_of(kind))

        assert code == 0, f"{kind}: {text}"
        assert place.run("superuser", "select from pg_namespace where nspname = 'pgevents'") == []
        assert place.run("superuser", "select from pg_trigger where tgname like '00_pgevents%'") == []


@pytest.mark.parametrize(("first", "second"), list(permutations(BUILDERS, 2)))
@pytest.mark.usefixtures("tables")
def test_the_order_of_two_builders_does_not_matter(place: Place, call: Call, first: str, second: str) -> None:
    """The schema belongs to the stronger of the two, and who comes second and may less is told so."""
    assert build(place, call, first)[0] == 0
    code, text = build(place, call, second)
    strong = (
        "superuser" if "superuser" in (first, second) else first if {first, second} != {"owner", "member"} else "owner"
    )
    if "member" in (first, second) and "creator" in (first, second):
        strong = "owner" if first == "member" else "creator"
    (owner,) = place.run("superuser", "select nspowner::regrole::text from pg_namespace where nspname = 'pgevents'")

    assert owner == (place.role(strong),)
    is_done = second in (strong, "superuser") or {first, second} == {"owner", "member"}
    assert code == (0 if is_done else 4), text
    if not is_done:
        assert owner[0] in text
    owners = place.run(
        "superuser",
        "select distinct relowner::regrole::text from pg_class where relnamespace = 'pgevents'::regnamespace"
        " union select proowner::regrole::text from pg_proc where pronamespace = 'pgevents'::regnamespace",
    )
    assert owners == [owner]
    if strong == "superuser":
        for kind in BUILDERS:
            place.run(kind, f'create table "new_{kind}" (a integer); insert into "new_{kind}" values (1)')
        found = place.run("superuser", "select count(*) from pgevents.log where kind = 'I' and table_name like 'new%'")
        assert found == [(4,)]
        assert call("status", "--check", "--database-url", place.url)[0] == 0


def test_a_table_that_the_builder_may_not_cover_is_named_with_the_grant(place: Place, call: Call) -> None:
    place.run("superuser", "create table theirs (a integer)")

    code, text = build(place, call, "owner")
    assert code == 1
    assert f"grant trigger on public.theirs to {place.role('owner')}" in text
    code, text = call("status", "--check", "--json", "--database-url", place.url_of("owner"))

    assert code == 1
    assert f"{place.role('owner')} may not create them; remedy: grant trigger on public.theirs" in text


def test_an_owner_is_told_who_may_tear_down_event_triggers(place: Place, call: Call) -> None:
    assert build(place, call, "owner")[0] == 0
    place.run(
        "superuser",
        "create event trigger pgevents_schema_changed on ddl_command_end execute function pgevents.schema_changed()",
    )

    code, text = call("teardown", "--yes", "--database-url", place.url_of("owner"))
    assert code == 4
    assert "run teardown as postgres" in text
    code, text = call("doctor", "--database-url", place.url_of("owner"))
    assert code == 1
    assert "run pg_events build as postgres" in text


def test_status_says_who_may_do_what(place: Place, call: Call) -> None:
    reader, worker = place.role("reader"), place.role("worker")
    assert call("build", "--grant-reader", reader, "--grant-worker", worker, "--database-url", place.url)[0] == 0

    text = call("status", "--database-url", place.url_of("reader"))[1]

    assert f"postgres builds · {worker} delivers · {reader} reads" in text


@pytest.mark.usefixtures("settings")
def test_a_worker_keeps_failed_events_shares_and_prunes_by_itself(place: Place, call: Call, tmp_path: Any) -> None:
    (tmp_path / "bad.py").write_text(
        'PG_EVENTS_DATA_UPDATE_CALLBACK = "bad:seen"\nPG_EVENTS_MAX_ATTEMPTS = 1\nPG_EVENTS_RETENTION = "1d"\n'
        "def seen(payload):\n    raise ValueError('no')\n"
    )
    place.run("owner", "create table t (a integer primary key)")
    assert call("build", "--grant-worker", place.role("worker"), "--database-url", place.url)[0] == 0
    place.run("owner", "insert into t values (1)")
    url = place.url_of("worker")

    code, text = call("worker", "--once", "--from", "oldest", "--settings", "bad.py", "--database-url", url)
    assert "failed" in text, text
    assert place.run("superuser", "select count(*) from pgevents.failed") == [(1,)]
    for command in (
        ("failed", "list"),
        ("failed", "retry", "--all"),
        ("worker", "--once", "--settings", "mine.py"),
        ("consumers", "drop", "default"),
        ("prune", "--keep", "0s"),
    ):
        code, text = call(*command, "--database-url", url)
        assert code == 0, (command, text)
    assert place.run("superuser", "select count(*) from pgevents.event") == [(0,)]
