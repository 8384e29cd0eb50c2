"""Plans the steps from installed to wanted objects, with reasons. Pure: no queries, no changes."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pg_events import sql
from pg_events.errors import NotInstalled
from pg_events.sql import fill
from pg_events.triggers.catalog import EVENT_TRIGGERS, Installed, Server, Table, Trigger

SHARE_ROW_EXCLUSIVE: Final = "SHARE ROW EXCLUSIVE"
"""Lock of CREATE TRIGGER: other writers wait, readers do not."""
ACCESS_EXCLUSIVE: Final = "ACCESS EXCLUSIVE"
"""Lock of DROP TRIGGER: writers and readers wait."""


@dataclass(frozen=True)
class Step:
    """Change of the database."""

    action: str
    """Action: `create`, `replace`, `enable`, `drop` or `set`."""
    object: str
    """Object to display: `trigger 00_pgevents_insert`, `function pgevents.capture()`."""
    table: str | None
    """`schema.table` that the step locks; None if it touches no user table."""
    sql: str
    """Statements to run."""
    lock: str
    """Lock taken on `table`; empty if none."""
    reason: str
    relation: int | None = None
    """OID of `table`, or of the root of a partition tree that must change together.

    The steps of one relation are one transaction.
    """
    migration: int | None = None
    """Number of the migration, so that one applied by another build meanwhile is skipped."""
    qualified: str = ""
    """SQL name of `table`."""
    needs_owner: bool = False
    """True if the privilege to create triggers does not suffice."""


@dataclass(frozen=True)
class Plan:
    """Steps in the order of execution, tables sorted by name."""

    steps: tuple[Step, ...]
    unchanged: int
    """Number of objects that are up to date."""
    warnings: tuple[str, ...] = ()
    """Warnings about missing privileges and the like, with remedies."""
    role: str | None = None
    """Role for steps that touch no user table; None for the role that connects."""
    is_first_part: bool = False
    """True for a build that first takes over the schema; only then can the rest be planned."""
    is_without_tables: bool = False
    """True if there is no table to cover yet."""

    @property
    def script(self) -> str:
        """Script of the plan for psql; empty if there is nothing to do."""
        before, tables, after = phases(self.steps)
        role = [] if self.role is None or not before else [f"set role {quoted(self.role)};\n"]
        reset = ["reset role;\n"] if role else []
        if self.is_first_part:
            return "\n".join(["begin;\n", *map(_commented, before), "commit;\n"])
        return "\n".join(
            [*role, *map(_commented, before), *reset, *map(_one_transaction, tables), *map(_commented, after)]
        )


def phases(steps: Iterable[Step]) -> tuple[list[Step], list[list[Step]], list[Step]]:
    """Steps before those on tables, those on tables (a list per transaction), and those after.

    In a transaction the strongest lock comes first, because upgrading a weaker one can deadlock.
    """
    before: list[Step] = []
    tables: dict[int, list[Step]] = {}
    after: list[Step] = []
    for step in steps:
        if step.relation is not None:
            tables.setdefault(step.relation, []).append(step)
        else:
            (after if tables else before).append(step)
    return before, [sorted(group, key=lambda step: step.lock != ACCESS_EXCLUSIVE) for group in tables.values()], after


def locks(steps: Iterable[Step]) -> dict[str, str]:
    """Strongest lock of the steps, by SQL name of the table."""
    found: dict[str, str] = {}
    for step in steps:
        if found.get(step.qualified) != ACCESS_EXCLUSIVE:
            found[step.qualified] = step.lock
    return found


def lock(table: str, mode: str) -> str:
    """Statement that locks a table; `table` is its SQL name."""
    return fill(sql.text("lock.sql"), {"table": table, "mode": mode})


def _commented(step: Step) -> str:
    return f"-- {step.action} {step.object}: {step.reason}\n{step.sql.strip()}\n"


def _one_transaction(steps: Sequence[Step]) -> str:
    wanted = locks(steps)
    together = [lock(table, mode) for table, mode in wanted.items()] if len(wanted) > 1 else []
    return "".join(
        [
            "begin;\nset local lock_timeout = '200ms';\nset local pgevents.building = on;\n",
            *together,
            *map(_commented, steps),
            "commit;\n",
        ]
    )


@dataclass(frozen=True)
class Wanted:
    """Wanted state of the database, apart from triggers of tables."""

    settings: Mapping[str, str]
    """Values by name, as stored in `pgevents.setting`."""
    query_characters: int


_PARTS: Final = (
    "capture_foreign",
    "capture_own_types",
    "capture_lock_first",
    "capture_wake",
    "capture_statement",
    "capture_cut",
    "capture_pack_variables",
    "capture_whether_packed",
    "capture_write_packed",
    "capture_pack",
    "capture_computed",
    "capture_row_computed",
    "capture_row_end",
    "capture_truncate_number",
    "capture_truncate_expect",
    "capture_carefully",
    "capture_quickly_when",
    "capture_quickly_insert",
    "capture_quickly_update",
    "capture_quickly_delete",
)
"""Files whose text is included in several functions, because PL/pgSQL cannot call code that sees transition tables.

Each can include those before it.
"""


def installable(wanted: Wanted) -> dict[str, str]:
    """SQL that installs each function, with settings inlined that are too expensive to look up in a trigger."""
    values = {
        "query_characters": str(wanted.query_characters),
        "is_plain": sql.text("coverage_is_plain.sql").strip(),
        "coverage": sql.coverage(),
        "coverage_without_options": sql.coverage(with_options=False),
        "coverage_of_everything": sql.coverage(with_options=False, with_patterns=False),
    }
    for part in _PARTS:
        values[part] = fill(sql.text(f"{part}.sql").strip(), values)
    return {
        name.rpartition("/")[2][3:].removesuffix(".sql"): fill(sql.text(name), values) for name in sql.names("install")
    }


def digest(text: str) -> str:
    """Digest of a file: 16 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def migrations() -> list[tuple[int, str]]:
    """Number and file of all migrations of this release, in order."""
    return [(int(name.rpartition("/")[2].partition("_")[0]), name) for name in sql.names("migrations")]


def newest_version(installed: int) -> int:
    """Schema version of this release. Raises `NotInstalled` if a newer one is installed."""
    newest = max(number for number, _ in migrations())
    if installed > newest:
        raise NotInstalled(
            f"the database's pgevents schema is version {installed}, this release knows {newest}; upgrade pg_events"
        )
    return newest


def plan(server: Server, installed: Installed, tables: Sequence[Table], wanted: Wanted) -> Plan:
    """Steps from the installed to the wanted state.

    Raises `NotInstalled` if the schema of the database is newer than this release.
    """
    newest_version(installed.version)
    warnings: list[str] = []
    found = [
        *_owner_steps(installed, server),
        *_migration_steps(installed),
        *_function_steps(installed, wanted),
        *_setting_steps(installed, wanted),
        *_right_steps(installed),
        *_event_trigger_steps(installed, server, warnings),
        *_trigger_steps(tables),
    ]
    steps = tuple(step for step in found if step is not None)
    role = None if server.builds_as in ("", server.role) else server.builds_as
    is_without_tables = all(table.state == "unsupported" for table in tables)
    return Plan(steps, len(found) - len(steps), tuple(warnings), role, is_without_tables=is_without_tables)


def take_over(server: Server, attached: Sequence[str], is_weaker: bool, wanted: Wanted) -> Plan:
    """Steps that make the schema trustworthy for this role, before anything in it is read."""
    detach = sql.text("detach.sql")
    steps = [
        Step("drop", f"{what} in pgevents", None, "" if is_weaker else detach, "", "not made by a build")
        for what in attached
    ]
    if is_weaker:
        functions = {name: f"{text.strip()}\n\n{_record(name, text)}" for name, text in installable(wanted).items()}
        text = fill(
            sql.whole("take_over.sql"),
            {
                "migrations": text_literal("\n".join(sql.text(name) for _, name in migrations())),
                "functions": text_literal("\n".join(installable(wanted).values())),
                "remedy": text_literal(
                    f"run pg_events build as {server.owner} and then this again, or pg_events teardown and pg_events build"
                ),
            },
        )
        kept = "\n".join(
            [
                fill(sql.text("record_former.sql"), {"former": text_literal(server.owner)}),
                *functions.values(),
                sql.whole("set_rights.sql"),
            ]
        )
        if server.may_create_event_triggers:
            kept += f"\n{sql.text('event_triggers.sql')}\n{sql.text('note_shapes.sql')}"
        reason = f"it belongs to {server.owner}, who may less than {server.role}, and goes on to read and deliver"
        steps.append(Step("set", f"owner of the schema pgevents: {server.role}", None, f"{text}\n{kept}", "", reason))
    return Plan(tuple(steps), 0, is_first_part=True)


def restore(wanted: Wanted) -> Plan:
    """Steps for a schema without its data, which create the required contents again."""
    text = fill(
        sql.whole("restore.sql"),
        {
            "migrations": text_literal("\n".join(sql.text(name) for _, name in migrations())),
            "functions": text_literal("\n".join(installable(wanted).values())),
            "versions": ", ".join(f"({number}, {text_literal(_title(name))})" for number, name in migrations()),
            "settings": ", ".join(
                f"({text_literal(name)}, {text_literal(value)})" for name, value in wanted.settings.items()
            ),
            "remedy": text_literal("run pg_events teardown and pg_events build"),
        },
    )
    reason = "restored without them; values are hashed with another key from now on"
    return Plan(
        (Step("create", "contents of pgevents.migration and pgevents.secret", None, text, "", reason),),
        0,
        is_first_part=True,
    )


def _title(migration: str) -> str:
    return migration.rpartition("/")[2].removesuffix(".sql")


def text_literal(text: str) -> str:
    """Text as an SQL literal, for standard_conforming_strings = on."""
    return "'" + text.replace("'", "''") + "'"


def _owner_steps(installed: Installed, server: Server) -> Iterable[Step | None]:
    """Steps that replace functions of other owners, who could change them, in the same transaction."""
    for kind, name, owner in installed.misowned:
        if kind == "function" and _function_name(name) not in _function_names():
            yield Step("drop", f"function {name}", None, f"drop function {name} cascade;\n", "", f"{owner} made it")
            continue
        text = f"alter {kind} {name} owner to {quoted(server.owner)};\n"
        yield Step(
            "set", f"owner of {kind} {name}", None, text, "", f"belongs to {owner}, the schema to {server.owner}"
        )


def _function_names() -> set[str]:
    return {name.rpartition("/")[2][3:].removesuffix(".sql") for name in sql.names("install")}


def _function_name(signature: str) -> str:
    """Name of a function: `cover` for `pgevents.cover(oid,boolean)`."""
    return signature.partition("(")[0].removeprefix("pgevents.")


def _right_steps(installed: Installed) -> Iterable[Step | None]:
    text = sql.whole("set_rights.sql")
    if any(number > installed.version for number, _ in migrations()) or "emit" not in installed.functions:
        # New objects are not known yet.
        yield Step("set", "rights", None, text, "", "not there yet")
        return
    if not installed.rights:
        yield None
    for is_foreign, action, reason in (
        (True, "revoke", "not given by a build: {}"),
        (False, "grant", "missing: {}"),
    ):
        by_role: dict[str, list[str]] = {}
        for role, was_not_given, privilege, name in installed.rights:
            if was_not_given == is_foreign:
                by_role.setdefault(role, []).append(f"{privilege} on {name}")
        for role, rights in by_role.items():
            some = ", ".join(rights[:_MANY]) + (", …" if len(rights) > _MANY else "")
            yield Step(action, f"rights of {role}", None, text, "", reason.format(some))


_MANY: Final = 3


def _migration_steps(installed: Installed) -> Iterable[Step | None]:
    """Steps for migrations; like the following functions, None for an up-to-date object, else a step."""
    for number, name in migrations():
        if number <= installed.version:
            yield None
            continue
        title = _title(name)
        text = (
            f"{sql.text(name).strip()}\n\n"
            f"insert into pgevents.migration (version, name) values ({number}, '{title}');\n"
        )
        yield Step("create", f"schema pgevents ({title})", None, text, "", "not there yet", migration=number)


def _function_steps(installed: Installed, wanted: Wanted) -> Iterable[Step | None]:
    misowned = {_function_name(name) for kind, name, _ in installed.misowned if kind == "function"}
    for name, text in installable(wanted).items():
        recorded = installed.recorded.get(name)
        now = installed.functions.get(name)
        source = digest(text)
        if recorded == (source, now) and name not in misowned:
            yield None
            continue
        if recorded == (source, now):
            action, reason = "replace", "it belonged to another role"
        elif recorded is None or now is None:
            action, reason = "create", "not there yet"
        elif recorded[0] != source:
            action, reason = "replace", "this release or these settings have another version"
        else:
            action, reason = "replace", "changed by hand since the last build"
        yield Step(action, f"function pgevents.{name}()", None, f"{text.strip()}\n\n{_record(name, text)}", "", reason)


def _record(name: str, text: str) -> str:
    return fill(sql.text("record_function.sql"), {"name": name, "source": digest(text)})


def _setting_steps(installed: Installed, wanted: Wanted) -> Iterable[Step | None]:
    for name, value in wanted.settings.items():
        if installed.settings.get(name) == value:
            yield None
            continue
        if name == "database_oid" and name in installed.settings:
            text = sql.whole("forget_consumers.sql")
            yield Step(
                "drop", "consumers", None, text, "", "this is a copy of another database, and they are that one's"
            )
        text = fill(sql.text("record_setting.sql"), {"name": name, "value": value.replace("'", "''")})
        yield Step("set", f"setting {name}", None, text, "", f"now {value}")


def _event_trigger_steps(installed: Installed, server: Server, warnings: list[str]) -> Iterable[Step | None]:
    is_there = all(installed.event_triggers.get(name) in ("O", "A") for name in EVENT_TRIGGERS)
    if is_there and not installed.lent_event_triggers:
        text = sql.text("note_shapes.sql")
        yield Step("set", "columns of tables", None, text, "", "not noted yet") if installed.has_unnoted else None
        return
    if is_there and not server.may_create_event_triggers:
        maker = next(iter(installed.lent_event_triggers.values()))
        warnings.append(
            f"the event triggers are {maker}'s, and their functions {server.owner}'s, who can change what runs in {maker}'s "
            f"DDL; remedy: run build as {maker}"
        )
        return
    if not server.may_create_event_triggers:
        warnings.append(
            f"role {server.role} may not create event triggers: DDL is not recorded and new tables are covered only by "
            "the next build; remedy: run build as a superuser (on a managed service, as its administrator)"
        )
        return
    if is_there:
        yield Step(
            "replace", "event triggers", None, sql.text("event_triggers.sql"), "", "their functions are another role's"
        )
        return
    reason = "disabled" if set(installed.event_triggers) == set(EVENT_TRIGGERS) else "not there yet"
    # Alterations made without event triggers must not be attributed to the next command.
    text = f"{sql.text('event_triggers.sql')}\n{sql.text('note_shapes.sql')}"
    yield Step("create", "event triggers", None, text, "", reason)


def _trigger_steps(tables: Sequence[Table]) -> Iterable[Step | None]:
    # A tree that changes between capturing by statement and by row would meanwhile lose or duplicate rows.
    # Triggers that are only removed may go one after another.
    changing = _roots(tables, lambda trigger: trigger.state == "outdated") & _roots(
        tables, lambda trigger: trigger.wanted is not None
    )
    for table in tables:
        relation = table.root if table.root in changing else table.oid
        for trigger in table.triggers:
            if trigger.state == "-":
                continue
            yield _trigger_step(table, trigger, relation)


def _roots(tables: Iterable[Table], meant: Callable[[Trigger], bool]) -> set[int]:
    return {table.root for table in tables if any(map(meant, table.triggers))}


def _trigger_step(table: Table, trigger: Trigger, relation: int) -> Step | None:
    reasons = {"no": "not there yet", "outdated": "not as these settings want it", "disabled": "disabled"}
    if trigger.state == "yes":
        return None
    qualified = f"{quoted(table.schema)}.{quoted(table.name)}"
    name = f"trigger {trigger.name}"
    if trigger.wanted is None:
        reason = reasons["outdated"] if any(each.wanted for each in table.triggers) else table.reason
        text = f"drop trigger {quoted(trigger.name)} on {qualified};\n"
        return Step(
            "drop",
            name,
            table.identity,
            text,
            ACCESS_EXCLUSIVE,
            reason,
            relation,
            qualified=qualified,
            needs_owner=True,
        )
    # CREATE OR REPLACE TRIGGER also enables it (origin and local, not replica).
    text = trigger.wanted.replace("CREATE TRIGGER", "create or replace trigger", 1) + ";\n"
    action = "create" if trigger.installed is None else "enable" if trigger.state == "disabled" else "replace"
    return Step(
        action,
        name,
        table.identity,
        text,
        SHARE_ROW_EXCLUSIVE,
        reasons[trigger.state],
        relation,
        qualified=qualified,
        needs_owner=table.choice.replicated and trigger.operation in ("truncate", "replicated"),
    )


def quoted(name: str) -> str:
    """Name as an SQL identifier. Names from the catalog contain no NUL and are not too long."""
    return '"' + name.replace('"', '""') + '"'
