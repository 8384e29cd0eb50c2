"""Findings of the doctor and their remedies. Pure: answers of the database in, findings out."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pg_events.db.trust import Owner
from pg_events.errors import ForeignCursor
from pg_events.text import counted
from pg_events.text.formatting import format_bytes, format_duration
from pg_events.triggers.catalog import EVENT_TRIGGERS, UNPUBLISH, Installed, Server, published
from pg_events.triggers.plan import Plan

OLD_SECONDS: Final = 300.0
"""Minimum age of an open transaction or of waiting events that is reported."""
HELD_TRANSACTIONS: Final = 1_000_000
"""Maximum number of transactions that a replication slot may hold back."""
FULL_QUEUE: Final = 0.1
"""Fill level of the notification queue that is reported; if it is full, every commit that notifies fails."""
CLOCK_SECONDS: Final = 5.0
BLOATED_ROWS: Final = 100_000
SUPPORTED: Final = range(15, 19)

State = Literal["ok", "problem", "unknown"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    name: str
    state: State
    """State of the finding; `unknown` if the check could not be made."""
    text: str
    remedy: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


def server(found: Server) -> list[Finding]:
    major = found.version_number // 10_000
    data = {"version": found.version, "is_standby": found.is_standby}
    if found.is_standby:
        return [
            _wrong(
                "server",
                "this is a standby: builds and readers need the primary",
                "use the address of the primary",
                data,
            )
        ]
    if major not in SUPPORTED:
        known = f"{SUPPORTED[0]} to {SUPPORTED[-1]}"
        return [
            _wrong(
                "server",
                f"PostgreSQL {found.version} was not tested with this release",
                f"use PostgreSQL {known}",
                data,
            )
        ]
    return [Finding("server", "ok", f"PostgreSQL {found.version}, a primary", data=data)]


def not_installed(found: Server) -> list[Finding]:
    """Findings where no build has run: that, and the privileges that a build would lack."""
    if not found.may_create_schema:
        remedy = f"grant create on database {_name(found.database)} to {_name(found.role)}; then: pg_events build"
        return [_wrong("installation", f"pg_events is not installed, and {found.role} may not install it", remedy)]
    return [_wrong("installation", f"pg_events is not installed in {found.database}", "pg_events build")]


def owner(found: Owner) -> list[Finding]:
    """Check that this role may use the objects of the schema."""
    data = {"owner": found.owner, "role": found.role, "powers": found.more}
    if found.is_trusted:
        return [Finding("owner", "ok", f"the schema pgevents is {found.owner}'s, and so is all in it", data=data)]
    return [_wrong("owner", found.problem, found.remedy, data)]


def rights(found: Server, capabilities: Mapping[str, str], without_trigger: Sequence[str]) -> list[Finding]:
    """Check the privileges of the role for its purpose. `capabilities`: see `Installed.capabilities`."""
    data = {
        "role": found.role,
        "owner": found.owner,
        "may_read": found.may_read,
        "may_deliver": found.may_deliver,
        "without_trigger": list(without_trigger),
        "roles": dict(capabilities),
    }
    if not found.owns_schema and (
        not found.may_read or (capabilities.get(found.role) == "worker" and not found.may_deliver)
    ):
        is_told = found.role in capabilities
        what = "deliver" if found.may_read else "read the log"
        option = "" if is_told else f" --grant-reader {found.role} (or --grant-worker)"
        return [
            _wrong("rights", f"role {found.role} may not {what}", f"pg_events build{option}, as {found.owner}", data)
        ]
    if not found.owns_schema:
        can = "deliver and read" if found.may_deliver else "read"
        return [Finding("rights", "ok", f"role {found.role} may {can}; {found.owner} builds", data=data)]
    if without_trigger:
        some = ", ".join(without_trigger[:3]) + (", …" if len(without_trigger) > 3 else "")
        return [
            _wrong(
                "rights",
                f"role {found.role} may not create triggers on {counted(len(without_trigger), 'table')}: {some}",
                f"grant trigger on {without_trigger[0]} to {_name(found.role)}, and so on",
                data,
            )
        ]
    return [Finding("rights", "ok", f"role {found.role} may build, deliver and read", data=data)]


def publications(rows: Sequence[Row]) -> list[Finding]:
    return [_wrong("publications", published(row["name"], row["what"]), UNPUBLISH, row) for row in rows] or [
        Finding("publications", "ok", "none sends the log's tables")
    ]


def origin(found: Server, installed: Installed) -> list[Finding]:
    if installed.is_from_elsewhere(found):
        return [
            _wrong(
                "origin",
                "the log was created on another cluster, as after a restored dump: its transaction ids are meaningless here",
                f"pg_events teardown, then pg_events build {ForeignCursor.BUT_UPGRADED}",
                {"made_on": installed.settings.get("system_identifier"), "system_identifier": found.system_identifier},
            )
        ]
    if not installed.version:
        return [_wrong("origin", "the schema pgevents was restored without its data", "pg_events build")]
    database = installed.settings.get("database_oid", found.database_oid)
    if database != found.database_oid:
        return [
            _wrong(
                "origin",
                "this database is a copy of another one in this cluster, whose consumers were copied, too",
                "pg_events build, which drops those consumers here",
                {"made_in": database, "database_oid": found.database_oid},
            )
        ]
    return [Finding("origin", "ok", "the log was created in this database")]


def drift(plan: Plan) -> list[Finding]:
    """Changes that a build would make now, except event triggers, which have their own check."""
    steps = [step for step in plan.steps if step.object != "event triggers"]
    data = {"steps": [{"object": step.object, "table": step.table, "reason": step.reason} for step in steps]}
    if not steps:
        return [Finding("drift", "ok", "everything is as the build left it", data=data)]
    some = "; ".join(f"{step.object}{f' on {step.table}' if step.table else ''}: {step.reason}" for step in steps[:3])
    more = f"; and {len(steps) - 3:,} more" if len(steps) > 3 else ""
    return [_wrong("drift", some + more, "pg_events build", data)]


def event_triggers(found: Server, installed: Installed, off_for: Sequence[str] = ()) -> list[Finding]:
    """Check the event triggers; `off_for` lists roles whose DDL fires none, see `catalog.event_triggers_off()`."""
    states = {name: installed.event_triggers.get(name, "missing") for name in EVENT_TRIGGERS}
    bad = [
        f"{name} is {'missing' if state == 'missing' else 'disabled'}"
        for name, state in states.items()
        if state not in ("O", "A")
    ]
    if installed.lent_event_triggers:
        maker = next(iter(installed.lent_event_triggers.values()))
        text = f"the event triggers are {maker}'s, and their functions {found.owner}'s, who can change what runs in {maker}'s DDL"
        return [_wrong("DDL", text, f"run pg_events build as {maker}", states)]
    if not bad and off_for:
        text = f"event_triggers is off for {', '.join(off_for)}: DDL is not recorded and new tables are not covered"
        return [_wrong("DDL", text, "reset event_triggers there, then run pg_events build", states)]
    if not bad:
        return [Finding("DDL", "ok", "schema changes are recorded", data=states)]
    if found.event_triggers_permitted:
        return [_wrong("DDL", f"schema changes are not recorded: {', '.join(bad)}", "pg_events build", states)]
    text = "schema changes are not recorded: neither this role nor the owner may create event triggers"
    return [_wrong("DDL", text, "run pg_events build once as a superuser (managed: as its administrator)", states)]


def link(is_proxied: bool, is_shared: bool) -> list[Finding]:
    data = {"is_proxied": is_proxied, "is_shared": is_shared}
    if is_shared:
        return [
            Finding(
                "pooler",
                "ok",
                "a pooler in transaction mode: readers poll twice a second, without notifications",
                data=data,
            )
        ]
    if is_proxied:
        return [Finding("pooler", "ok", "a pooler or proxy that keeps one session per client", data=data)]
    return [Finding("pooler", "ok", "none: a direct connection to the server", data=data)]


def queue(usage: float, open_transactions: Sequence[Row] = ()) -> list[Finding]:
    """Check the notification queue; `open_transactions`, oldest first, may include a session that has listened."""
    data = {"usage": usage}
    if usage < FULL_QUEUE:
        return [Finding("queue", "ok", f"the notification queue is {usage:.0%} full", data=data)]
    known = [row for row in open_transactions if row["pid"] is not None]
    oldest = (
        f", most likely the oldest one: {_who(known[0])}, {format_duration(known[0]['age_seconds'])}" if known else ""
    )
    return [
        _wrong(
            "queue",
            f"the notification queue is {usage:.0%} full; when it is full, every commit that notifies fails",
            f"end the session that has listened and sits in a transaction{oldest}",
            data,
        )
    ]


def transactions(rows: Sequence[Row]) -> list[Finding]:
    hidden = rows[0]["hidden"]
    found: list[Finding] = []
    for row in rows:
        if row["pid"] is None:
            continue
        found.append(
            _wrong(
                "transactions",
                f"{_who(row)} has been in a transaction for {format_duration(row['age_seconds'])}, now {row['state']}: "
                "its events wait for it, and rows that died since cannot be cleaned up",
                f"commit or roll back there, or: select pg_terminate_backend({row['pid']})",
                row,
            )
        )
    if hidden:
        role = "this role"
        text = f"{counted(hidden, 'session')} of other roles {'is' if hidden == 1 else 'are'} hidden from {role}"
        found.append(Finding("transactions", "unknown", text, "grant pg_read_all_stats to it", {"hidden": hidden}))
    return found or [Finding("transactions", "ok", f"none is open for more than {format_duration(OLD_SECONDS)}")]


def _who(row: Row) -> str:
    application = f", {row['application']}" if row["application"] else ""
    return f"pid {row['pid']} (role {row['role']}, database {row['database']}{application})"


def prepared(rows: Sequence[Row]) -> list[Finding]:
    return [
        _wrong(
            "prepared",
            f"transaction {row['gid']!r} (role {row['role']}, database {row['database']}) was prepared "
            f"{format_duration(row['age_seconds'])} ago and is still open",
            f"in that database: commit prepared {_literal(row['gid'])}, or rollback prepared",
            row,
        )
        for row in rows
    ] or [Finding("prepared", "ok", f"no transaction was prepared more than {format_duration(OLD_SECONDS)} ago")]


def slots(rows: Sequence[Row]) -> list[Finding]:
    return [
        _wrong(
            "slots",
            f"replication slot {row['slot']} ({'active' if row['active'] else 'not in use'}) holds rows back that died "
            f"{row['transactions']:,} transactions ago: the log cannot shrink",
            f"let its reader catch up, or run: select pg_drop_replication_slot({_literal(row['slot'])})",
            row,
        )
        for row in rows
    ] or [Finding("slots", "ok", "no replication slot holds rows back")]


def consumers(rows: Sequence[Row]) -> list[Finding]:
    found: list[Finding] = []
    for row in rows:
        name, behind = row["name"], row["behind_events"]
        data = {key: row[key] for key in ("name", "is_running", "behind_events", "behind_seconds", "failed")}
        waits = f"{counted(behind, 'event')}, the oldest of {format_duration(row['behind_seconds'])} ago"
        if row.get("is_paused"):
            if behind:
                found.append(
                    _wrong(
                        "consumers",
                        f"consumer {name} is paused; it waits for {waits}",
                        f"pg_events consumers resume {shlex.quote(name)}",
                        data,
                    )
                )
        elif behind and not row["is_running"]:
            found.append(
                _wrong(
                    "consumers",
                    f"no worker runs for consumer {name}; it waits for {waits}",
                    f"pg_events worker --name {shlex.quote(name)}, or, if it is not needed: "
                    f"pg_events consumers drop {shlex.quote(name)}",
                    data,
                )
            )
        elif row["behind_seconds"] > OLD_SECONDS:
            found.append(
                _wrong(
                    "consumers",
                    f"consumer {name} is behind: {waits}",
                    "see the worker's log for failing or slow callbacks",
                    data,
                )
            )
        if row["failed"]:
            found.append(
                _wrong(
                    "failed",
                    f"{counted(row['failed'], 'event')} of consumer {name} failed",
                    f"pg_events failed list --name {name}",
                    data,
                )
            )
    if not any(one.name == "consumers" for one in found):
        found.insert(0, Finding("consumers", "ok", f"{counted(len(rows), 'consumer')}, none is behind"))
    return found


def log_size(row: Row) -> list[Finding]:
    data = dict(row)
    size = format_bytes(row["bytes"])
    if row["dead"] > max(BLOATED_ROWS, row["live"]):
        text = f"the log takes {size}, and most of its rows are dead ({row['dead']:,} of {row['dead'] + row['live']:,})"
        return [
            _wrong(
                "log",
                text,
                "vacuum pgevents.event; if that frees nothing, see transactions, prepared and slots",
                data,
            )
        ]
    return [Finding("log", "ok", f"it takes {size}", data=data)]


def clock(ahead_seconds: float, round_trip_seconds: float) -> list[Finding]:
    """Compare the clocks; `ahead_seconds` is the lead of the server's, measured halfway through a round trip."""
    data = {"ahead_seconds": ahead_seconds}
    if abs(ahead_seconds) <= CLOCK_SECONDS + round_trip_seconds:
        return [Finding("clock", "ok", "the clock of the server agrees with the local one", data=data)]
    way = "ahead of" if ahead_seconds > 0 else "behind"
    text = f"the server's clock is {format_duration(abs(ahead_seconds))} {way} the local one: ages and delays are wrong"
    return [_wrong("clock", text, "synchronise both with a time server", data)]


def settings(
    row: Row, replica_roles: Sequence[str], replicated: Sequence[str], wake_up: bool, are_prepared: bool
) -> list[Finding]:
    """Check settings that disable triggers; `replicated` holds patterns of tables whose replicated changes are captured."""
    found: list[Finding] = []
    is_missed = "*" not in replicated
    but = ", except on tables of PG_EVENTS_CAPTURE_REPLICATED" if replicated else ""
    if is_missed and row["session_replication_role"] == "replica":
        found.append(
            _wrong(
                "settings",
                f"session_replication_role is replica here: such writes fire no trigger{but}",
                "set it to origin",
                row,
            )
        )
    if is_missed and replica_roles:
        who = ", ".join(replica_roles)
        text = f"session_replication_role is replica for {who}: their writes fire no trigger and are not recorded{but}"
        found.append(_wrong("settings", text, "alter role … reset session_replication_role", row))
    if wake_up and are_prepared:
        text = "transactions are prepared here, and PostgreSQL cannot prepare one that has notified a worker"
        found.append(_wrong("settings", text, "set PG_EVENTS_NOTIFY = False and run pg_events build", row))
    elif wake_up and replicated and row["applies_prepared"]:
        text = "a subscription prepares transactions here (two_phase): it fails repeatedly at one that has notified a worker"
        found.append(_wrong("settings", text, "set PG_EVENTS_NOTIFY = False and run pg_events build", row))
    return found or [Finding("settings", "ok", "no setting prevents the triggers from firing")]


def _wrong(name: str, text: str, remedy: str, data: Mapping[str, Any] | None = None) -> Finding:
    return Finding(name, "problem", text, remedy, data or {})


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
