"""A schema `pgevents` that belongs to a role that may less: nobody runs what that role put there."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.security.ownership.conftest import Place

Call = Callable[..., tuple[int, str]]

BOOM = """
    create schema evil;
    create function evil.boom() returns integer language plpgsql as $$begin
        execute format('alter role %I superuser', '{who}');
        return 1;
    end$$;
    create function evil.trigger() returns trigger language plpgsql as
        $$begin perform evil.boom(); return new; end$$;
"""
COMMANDS = [
    ("status",),
    ("doctor",),
    ("listen", "--limit", "1"),
    ("export", "events.jsonl"),
    ("history", "public.t", "1"),
    ("failed", "list"),
    ("consumers", "list"),
    ("prune", "--keep", "1d"),
    ("replay", "log", "--plan", "--callback", "json.loads"),
    ("build", "--plan"),
]


@pytest.fixture
def evil(place: Place) -> Place:
    place.run("owner", BOOM.format(who=place.role("owner")))
    return place


def is_superuser(place: Place, kind: str = "owner") -> bool:
    return place.run("superuser", f"select rolsuper from pg_roles where rolname = '{place.role(kind)}'")[0][0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_view_in_place_of_a_table_is_not_read(evil: Place, call: Call, command: tuple[str, ...]) -> None:
    evil.run(
        "owner",
        "create schema pgevents;"
        "create view pgevents.migration as select 1 as version, ''::text as name where evil.boom() = 1;"
        "create view pgevents.setting as select ''::text as name, ''::text as value where evil.boom() = 1;"
        "create view pgevents.event as select 1::bigint as id where evil.boom() = 1;",
    )

    code, text = call(*command, "--database-url", evil.url)

    assert code in (1, 4)
    assert evil.role("owner") in text
    assert "pg_events" in text
    assert not is_superuser(evil)


ATTACHMENTS = [
    "create trigger t before insert or update or delete on pgevents.setting for each row execute function evil.trigger()",
    "create trigger t before insert or update or delete on pgevents.setting execute function evil.trigger()",
    "create trigger t before insert on pgevents.event for each row execute function evil.trigger()",
    "create rule r as on insert to pgevents.setting do also select evil.boom()",
    "alter table pgevents.setting enable row level security, force row level security;"
    "create policy p on pgevents.setting using (evil.boom() = 1)",
    "create table evil.child () inherits (pgevents.event);"
    "create trigger t before delete on evil.child for each row execute function evil.trigger()",
    "create table evil.heir (name text references pgevents.consumer on update cascade on delete cascade);"
    "create constraint trigger t after delete on evil.heir deferrable initially deferred"
    " for each row execute function evil.trigger()",
]


@pytest.mark.parametrize("attachment", ATTACHMENTS)
def test_what_the_owner_attached_is_gone_before_a_superuser_builds(evil: Place, call: Call, attachment: str) -> None:
    assert call("build", "--database-url", evil.url_of("owner"))[0] == 0
    evil.run("owner", attachment)

    code, text = call("status", "--database-url", evil.url)
    assert code == 4
    assert "pg_events build" in text
    code, text = call("build", "--exclude", "x", "--database-url", evil.url)

    assert code == 0, text
    assert "takes over" in text or "owner of the schema pgevents" in text
    assert not is_superuser(evil)
    evil.run("owner", "create table t (a integer); insert into t values (1)")
    assert not is_superuser(evil)
    assert evil.run("superuser", "select count(*) from pgevents.log where kind = 'I'") == [(1,)]


@pytest.mark.parametrize("attachment", ATTACHMENTS)
def test_what_was_attached_to_an_owners_own_schema_is_named_and_taken_away(
    evil: Place, call: Call, attachment: str
) -> None:
    assert call("build", "--database-url", evil.url_of("owner"))[0] == 0
    evil.run("owner", attachment)

    code, text = call("status", "--database-url", evil.url_of("owner"))
    assert code == 4
    assert "objects that are not" in text
    assert call("doctor", "--database-url", evil.url_of("owner"))[0] == 1
    assert call("build", "--database-url", evil.url_of("owner"))[0] == 0

    assert call("status", "--database-url", evil.url_of("owner"))[0] == 0


HIDDEN = [
    "alter table pgevents.event alter application_name set default evil.boom()::text",
    "alter table pgevents.event alter application_name set default"
    " query_to_xml('select evil.boom()', true, true, '')::text",
    "alter table pgevents.event add check (evil.boom() = 1)",
    "create or replace view pgevents.running_worker as select w.* from pgevents.worker w where evil.boom() = 1",
    "create table pgevents.more (a integer)",
    "create domain evil.d as text check (evil.boom() = 1); alter table pgevents.failed add extra evil.d",
]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_schema_that_is_not_as_the_release_makes_it_is_not_taken_over(evil: Place, call: Call, hidden: str) -> None:
    assert call("build", "--database-url", evil.url_of("owner"))[0] == 0
    evil.run("owner", hidden)

    code, text = call("build", "--database-url", evil.url)

    assert code == 1, text
    assert "is not as this release makes it" in text
    assert "teardown" in text
    assert not is_superuser(evil)
    assert evil.run("superuser", "select nspowner::regrole::text from pg_namespace where nspname = 'pgevents'") == [
        (f"{evil.role('owner')}",)
    ]
    assert call("teardown", "--yes", "--database-url", evil.url)[0] == 0
    assert not is_superuser(evil)
    assert evil.run("superuser", "select from pg_namespace where nspname = 'pgevents'") == []


def test_functions_of_the_former_owner_never_run_for_a_superuser(evil: Place, call: Call) -> None:
    assert call("build", "--database-url", evil.url_of("owner"))[0] == 0
    evil.run("owner", "create table t (a integer)")
    for function, result in (
        ("schema_changed", "event_trigger"),
        ("is_building", "boolean"),
        ("capture_insert", "trigger"),
    ):
        evil.run(
            "owner",
            f"create or replace function pgevents.{function}() returns {result} language plpgsql security definer as"
            f" $$begin perform evil.boom(); return {'null' if result != 'event_trigger' else ''}; end$$;"
            f"update pgevents.installed set definition = md5(pg_get_functiondef(p.oid)) from pg_proc p"
            f" where p.oid = 'pgevents.{function}()'::regprocedure and name = '{function}'",
        )
    evil.run("owner", "create function pgevents.cover(oid, text) returns void language sql as 'select evil.boom()'")
    evil.run(
        "superuser",
        "create event trigger pgevents_schema_changed on ddl_command_end execute function pgevents.schema_changed()",
    ) if not is_superuser(evil) else None

    code, text = call("build", "--database-url", evil.url)

    assert code == 0, text
    evil.run("superuser", "create table made_by_superuser (a integer); insert into t values (1)")
    evil.run("owner", "insert into t values (1)")
    assert not is_superuser(evil)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        evil.run(
            "owner", "create or replace function pgevents.schema_changed() returns event_trigger language sql as ''"
        )
    found = evil.run(
        "superuser",
        "select count(*), count(*) filter (where proowner::regrole::text = 'postgres') from pg_proc"
        " where pronamespace = 'pgevents'::regnamespace",
    )
    assert found[0][0] == found[0][1]
    assert evil.run("superuser", "select to_regprocedure('pgevents.cover(oid, text)')") == [(None,)]


def test_conditions_of_the_former_owner_are_not_taken_over(evil: Place, call: Call, tmp_path: Any) -> None:
    evil.run("owner", "create table t (a integer)")
    (tmp_path / "told.py").write_text('PG_EVENTS_WHEN = {"public.t": "new.a > 5"}\n')
    assert call("build", "--settings", "told.py", "--database-url", evil.url_of("owner"))[0] == 0

    code, text = call("build", "--database-url", evil.url)

    assert code == 0, text
    evil.run("owner", "insert into t values (1)")
    assert evil.run("superuser", "select count(*) from pgevents.log where kind = 'I'") == [(1,)]


def test_the_former_owner_goes_on_to_deliver(place: Place, call: Call, tmp_path: Any) -> None:
    place.run("owner", "create table t (a integer)")
    (tmp_path / "mine.py").write_text(
        'PG_EVENTS_DATA_UPDATE_CALLBACK = "mine:seen"\ndef seen(payload):\n    print("seen", payload)\n'
    )
    worker = ("worker", "--once", "--from", "oldest", "--settings", "mine.py", "--database-url", place.url_of("owner"))
    assert call("build", "--database-url", place.url_of("owner"))[0] == 0
    place.run("owner", "insert into t values (1)")
    assert '"new_data":{"a":1}' in call(*worker)[1].replace(" ", "")

    assert call("build", "--database-url", place.url)[0] == 0
    place.run("owner", "insert into t values (2)")
    place.run("owner", "create table u (a integer); insert into u values (3)")

    code, text = call(*worker)
    assert code == 0, text
    assert '"new_data":{"a":2}' in text.replace(" ", "")
    assert '"new_data":{"a":3}' in text.replace(" ", "")
    assert call("doctor", "--database-url", place.url_of("owner"))[0] == 0
    assert call("prune", "--keep", "0s", "--database-url", place.url_of("owner"))[0] == 0
    assert place.run("superuser", "select count(*) from pgevents.event") == [(0,)]


def test_a_member_of_another_databases_builders_role_gets_nothing(place: Place, call: Call) -> None:
    """Nothing of the cluster is shared between databases: there is no role that functions of two of them belong to."""
    assert call("build", "--database-url", place.url)[0] == 0

    owners = place.run(
        "superuser",
        "select distinct proowner::regrole::text from pg_proc where pronamespace = 'pgevents'::regnamespace",
    )
    assert owners == [("postgres",)]
    for kind in ("creator", "owner"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.run(kind, "select * from pgevents.secret")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.run(kind, "alter function pgevents.capture_insert() security invoker")


def test_a_stronger_role_that_is_no_superuser_is_refused_and_told_why(place: Place, call: Call) -> None:
    assert call("build", "--database-url", place.url_of("owner"))[0] == 0

    code, text = call("status", "--database-url", place.url_of("creator"))

    assert code == 4
    assert "CREATEROLE" in text
    assert f"run it as {place.role('owner')}" in text
    assert call("build", "--database-url", place.url_of("creator"))[0] == 4


def test_a_login_with_powers_is_not_hidden_by_set_role(place: Place, call: Call) -> None:
    assert call("build", "--database-url", place.url_of("owner"))[0] == 0

    code, text = call("status", "--database-url", make_conninfo(place.url, options=f"-c role={place.role('owner')}"))

    assert code == 4
    assert "SUPERUSER" in text


def test_default_privileges_give_nobody_the_log(place: Place, call: Call) -> None:
    rd = place.role("reader")
    place.run(
        "superuser",
        f'alter default privileges grant all on tables to "{rd}"; alter default privileges grant all on sequences to "{rd}";'
        f'alter default privileges grant all on functions to "{rd}"; alter default privileges grant all on schemas to "{rd}"',
    )
    try:
        assert call("build", "--grant", rd, "--database-url", place.url)[0] == 0

        assert rights_of(place, "reader") == {("SELECT", "r"), ("SELECT", "v"), ("USAGE", "n")}
        assert call("doctor", "--database-url", place.url)[0] == 0
        for command in (
            "delete from pgevents.event",
            "select setval('pgevents.sleeper', 9)",
            "select * from pgevents.secret",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                place.run("reader", command)
    finally:
        place.run(
            "superuser",
            f'alter default privileges revoke all on tables from "{rd}";'
            f'alter default privileges revoke all on sequences from "{rd}";'
            f'alter default privileges revoke all on functions from "{rd}";'
            f'alter default privileges revoke all on schemas from "{rd}"',
        )


def rights_of(place: Place, kind: str) -> set[tuple[str, str]]:
    role = place.role(kind)
    return {
        (privilege, relkind)
        for privilege, relkind in place.run(
            "superuser",
            f"select a.privilege_type, c.relkind::text from pg_class c, aclexplode(c.relacl) a"
            f" where c.relnamespace = 'pgevents'::regnamespace and a.grantee = '{role}'::regrole"
            f" union select a.privilege_type, 'n' from pg_namespace n, aclexplode(n.nspacl) a"
            f" where n.nspname = 'pgevents' and a.grantee = '{role}'::regrole",
        )
    }


@pytest.mark.parametrize(
    "grant",
    [
        "grant all on pgevents.event to {who}",
        "grant select on pgevents.secret to public",
        "grant usage on schema pgevents to public",
        "grant create on schema pgevents to {who}",
        "grant update (value) on pgevents.setting to {who}",
        "grant update on sequence pgevents.sleeper to {who}",
        "grant execute on function pgevents.cover(oid, boolean) to {who}",
        "grant select on pgevents.event to {who} with grant option",
    ],
)
def test_what_no_build_gave_is_named_and_taken_back(place: Place, call: Call, grant: str) -> None:
    who = place.role("nobody")
    assert call("build", "--database-url", place.url)[0] == 0
    place.run("superuser", grant.format(who=f'"{who}"'))

    code, text = call("doctor", "--database-url", place.url)
    assert code == 1
    assert "not given by a build" in text or "changed by hand" in text
    code, text = call("build", "--plan", "--database-url", place.url)
    assert "revoke" in text or "function" in text
    assert call("build", "--database-url", place.url)[0] == 0

    assert rights_of(place, "nobody") == set()
    assert call("build", "--plan", "--json", "--database-url", place.url)[1].startswith('{"changes": []')
    assert call("doctor", "--database-url", place.url)[0] == 0


def test_members_of_a_group_that_may_read_do_not_get_the_key(place: Place, call: Call) -> None:
    group, member = place.role("reader"), place.role("nobody")
    assert call("build", "--grant-reader", group, "--database-url", place.url)[0] == 0
    place.run("superuser", f'grant "{group}" to "{member}"')
    try:
        assert place.run("nobody", "select count(*) from pgevents.log")[0][0] >= 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.run("nobody", "select * from pgevents.secret")
        assert call("doctor", "--database-url", place.url_of("nobody"))[0] == 0
    finally:
        place.run("superuser", f'revoke "{group}" from "{member}"')


def test_what_was_granted_is_kept_and_taken_back_by_name(place: Place, call: Call) -> None:
    reader, worker = place.role("reader"), place.role("worker")
    assert call("build", "--grant-reader", reader, "--grant-worker", worker, "--database-url", place.url)[0] == 0
    given = rights_of(place, "reader"), rights_of(place, "worker")
    assert call("build", "--grant-reader", worker, "--database-url", place.url)[0] == 0
    assert (rights_of(place, "reader"), rights_of(place, "worker")) == given

    place.run("superuser", f'revoke delete on pgevents.event from "{worker}"')
    code, text = call("doctor", "--database-url", place.url_of("worker"))
    assert code == 1
    assert "missing: DELETE on pgevents.event" in text
    assert call("build", "--database-url", place.url)[0] == 0
    assert rights_of(place, "worker") == given[1]

    assert call("build", "--revoke", worker, "--database-url", place.url)[0] == 0
    assert (rights_of(place, "reader"), rights_of(place, "worker")) == (given[0], set())
