"""Carry a plan out without ever being in the users' way.

What touches no table of theirs runs first, in one transaction. Then one table a transaction, in the order of the names,
each with a short lock timeout: a writer never waits longer for a build than that, and in no deadlock with a build is the
writer the victim. A table whose lock was not to be had is tried again later, after the others. What was interrupted is
simply planned and carried out again.
"""

import math
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final, LiteralString, cast

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from pg_events import sql
from pg_events.db import trust
from pg_events.db.blockers import Watch, watched
from pg_events.db.connection import connect, translate
from pg_events.errors import NotPermitted, PgEventsError
from pg_events.triggers.catalog import Connection
from pg_events.triggers.plan import Plan, Step, lock, locks, phases

LOCK_TIMEOUT_SECONDS: Final = 0.2
"""The longest a build makes a writer wait."""
TRIES: Final = 30
"""How often a table is tried whose lock is not to be had."""
OTHER_BUILD_SECONDS: Final = 60.0
"""How long a build waits for another one. Nobody waits behind it meanwhile."""

_REFUSED: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_MADE: Final = (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation)
"""Another build has made the schema meanwhile."""

OnStep = Callable[[Step, str], None]
"""Called after each step with `done`, `waiting` (its table is busy, it is tried again) or the reason why it failed."""


@dataclass
class Applied:
    """What came of a plan."""

    applied: int = 0
    failed: list[tuple[Step, str]] = field(default_factory=list[tuple[Step, str]])
    """Steps that could not be carried out, each with the reason in one line."""


def apply(
    database_url: str, plan: Plan, on_step: OnStep | None = None, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
) -> Applied:
    """Carry a plan out; what is done stays done when it is interrupted. Blocks until all is done or given up.

    A step that fails does not stop those of other tables; see `Applied.failed`. Raises `NotPermitted` or another
    `PgEventsError` when the schema itself could not be made: then nothing was changed.
    """
    told = on_step or _tell_nobody
    result = Applied()
    before, tables, after = phases(plan.steps)
    with connect(database_url, application_name="pg_events build", checks_owner=False) as connection:
        limits = _quiet(connection, lock_timeout_seconds)
        try:
            _apply_together(connection, before, plan, told, result, limits)
            _apply_by_table(connection, tables, told, result, limits)
            if result.failed:
                # The schema must not be dropped under triggers that are still there; a grant does no harm.
                kept = [step for step in after if step.action == "drop"]
                _give_up(kept, "tables still have triggers; run it again", told, result)
                after = [step for step in after if step.action != "drop"]
            _apply_together(connection, after, plan, told, result, limits)
        except psycopg.Error as error:
            raise translate(error, database_url) from error
    return result


def _tell_nobody(_step: Step, _outcome: str) -> None:
    pass


@dataclass(frozen=True)
class _Limits:
    """How long a build waits for locks, and so makes writers wait that queue behind it."""

    lock_seconds: float
    """For the lock of one table."""
    deadlock_seconds: float
    """The server's `deadlock_timeout`: who has waited that long for a lock is ended when that is a deadlock."""

    @property
    def first_seconds(self) -> float:
        """For the first of the locks of tables that change at one stroke."""
        return self.lock_seconds / 2

    @property
    def further_seconds(self) -> float:
        """For all others together: a writer with whom that is a deadlock must not be the one who notices."""
        return min(self.lock_seconds, self.deadlock_seconds) / 2


def _quiet(connection: Connection, lock_timeout_seconds: float) -> _Limits:
    """A build's own settings: the role's limits are for its usual work, and notices about what exists are not for people."""
    row = connection.execute(
        "select setting::float8 / 1000, has_parameter_privilege(name, 'set') from pg_settings where name = 'deadlock_timeout'"
    ).fetchone()
    assert row is not None
    deadlock_seconds, may_look_first = row
    connection.settle(
        {"statement_timeout": "0", "default_transaction_read_only": "off", "client_min_messages": "warning"}
    )
    if may_look_first:
        # Who looks first is the victim of a deadlock, and has an autovacuum cancelled that holds what it waits for.
        connection.settle({"deadlock_timeout": _milliseconds(lock_timeout_seconds / 4)})
    return _Limits(lock_timeout_seconds, deadlock_seconds)


def _milliseconds(seconds: float) -> str:
    return f"{max(1, int(seconds * 1000))}ms"


def _apply_together(
    connection: Connection, steps: list[Step], plan: Plan, told: OnStep, result: Applied, limits: _Limits
) -> None:
    """Steps that touch no table of the users': all of them or none, one build at a time.

    Whoever writes to a covered table writes to the log: what wants the log for itself must not wait for long either.
    """
    if not steps:
        return
    begin = time.monotonic()
    for tries in range(1, TRIES + 1):
        watch, version = Watch(), 0
        patience = limits.lock_seconds if tries == 1 else OTHER_BUILD_SECONDS
        try:
            with connection.transaction(), _watched(connection, tries > 1) as watch:
                version = _begin_together(connection, steps, plan, patience)
                # Whoever is making the schema has no lock on anything but its name.
                _limit(connection, limits.lock_seconds if version else patience)
                for step in steps:
                    if step.migration is None or step.migration > version:
                        _run(connection, step)
            break
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotPermitted(
                f"{error.diag.message_primary}; remedy: run it as the owner of the schema pgevents, or as a superuser"
            ) from error
        except (*_REFUSED, *_MADE) as error:
            if version and isinstance(error, _MADE):
                raise
            waited = time.monotonic() - begin
            if tries == TRIES or waited > OTHER_BUILD_SECONDS:
                if isinstance(error, _MADE):
                    raise
                raise PgEventsError(
                    f"{steps[0].action} {steps[0].object}: given up after {waited:.1f} s, its lock is held by {watch.words}; "
                    "run it again when that has ended"
                ) from error
            told(steps[0], "waiting")
            _let_others_through(limits)
    for step in steps:
        result.applied += 1
        told(step, "done")


def _begin_together(connection: Connection, steps: list[Step], plan: Plan, patience: float) -> int:
    """Begin a transaction that changes the schema; the schema's version, 0 when there is none, and 1 where it is not read."""
    if plan.role is not None:
        connection.execute(SQL("set local role {}").format(Identifier(plan.role)))
    _say_who(connection)
    if not _keep_others_out(connection, patience):
        return 0
    if plan.is_first_part or all(step.action == "drop" for step in steps):
        return 1
    # The plan was made a moment ago: the schema may be another one's now.
    trust.check(connection, builds=True)
    return _version(connection)


def _say_who(connection: Connection) -> None:
    """For the rest of the transaction: its DDL is a build's, and no schema event. Believed of who may build."""
    connection.execute("select set_config('pgevents.building', 'on', true)")


def _limit(connection: Connection, seconds: float) -> None:
    """For the rest of the transaction."""
    connection.execute("select set_config('lock_timeout', %s, true)", [_milliseconds(seconds)])


def _let_others_through(limits: _Limits) -> None:
    """Those that queued behind this build; and not all builds try again at the same moment."""
    time.sleep(random.uniform(0.5, 1.5) * limits.lock_seconds)  # noqa: S311 - jitter


def _watched(connection: Connection, is_wanted: bool) -> AbstractContextManager[Watch]:
    """For a second try, which waits for somebody who stays: learn who that is."""
    return watched(connection) if is_wanted else nullcontext(Watch())


def _keep_others_out(connection: Connection, seconds: float) -> bool:
    """Let no other build change the schema until the transaction ends; whether there is a schema.

    The lock is one that only the schema's owner can take, and that hinders nobody else.
    """
    if connection.execute("select to_regclass('pgevents.migration')").fetchone() == (None,):
        return False
    _limit(connection, seconds)
    connection.execute(cast("LiteralString", lock("pgevents.migration", "SHARE UPDATE EXCLUSIVE")))
    return True


def _version(connection: Connection) -> int:
    row = connection.execute("select coalesce(max(version), 0) from pgevents.migration").fetchone()
    assert row is not None
    return row[0]


@dataclass
class _Turn:
    """A table, or a tree of tables that change at one stroke, and how often it was tried."""

    steps: list[Step]
    tries: int = 1
    awaited: str = ""
    """Of a tree: the table whose lock was not to be had last."""


def _apply_by_table(
    connection: Connection, tables: list[list[Step]], told: OnStep, result: Applied, limits: _Limits
) -> None:
    queue = deque(_Turn(steps) for steps in tables)
    while queue:
        turn = queue.popleft()
        steps, watch = turn.steps, Watch()
        try:
            with connection.transaction(), _watched(connection, turn.tries == TRIES) as watch:
                _say_who(connection)
                _limit(connection, limits.lock_seconds)
                _hold_schema_names(connection, steps)
                _lock_tree(connection, turn, limits)
                for step in steps:
                    _run(connection, step)
                _check_names(connection, steps)
        except _REFUSED:
            if turn.tries < TRIES:
                told(steps[0], "waiting")
                turn.tries += 1
                queue.append(turn)
                if len(queue) == 1 or turn.tries > 2:
                    _let_others_through(limits)
                continue
            tried = f"its lock was not to be had in {TRIES} tries of {limits.lock_seconds} s"
            _give_up(steps, f"{tried}, it is held by {watch.words}", told, result)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            _give_up(steps, "the table is gone; build again", told, result)
        except _Misnamed:
            _give_up(steps, "its name is another table's now; build again", told, result)
        except psycopg.errors.InsufficientPrivilege as error:
            _give_up(steps, _missing_right(steps, connection.info.user, error), told, result)
        except psycopg.Error as error:
            if connection.broken:
                raise
            _give_up(steps, error.diag.message_primary or type(error).__name__, told, result)
        else:
            for step in steps:
                result.applied += 1
                told(step, "done")


def _lock_tree(connection: Connection, turn: _Turn, limits: "_Limits") -> None:
    """Take the locks of tables that change at one stroke, at first that which was not to be had last."""
    wanted = locks(turn.steps)
    if len(wanted) == 1:
        return  # its first step takes it
    _limit(connection, limits.first_seconds)
    deadline = math.inf
    for table in sorted(wanted, key=lambda table: table != turn.awaited):
        turn.awaited = table
        connection.execute(cast("LiteralString", lock(table, wanted[table])))
        deadline = min(deadline, time.monotonic() + limits.further_seconds)
        _limit(connection, deadline - time.monotonic())


class _Misnamed(Exception):
    """A name led to another table than when the build was planned."""


def _hold_schema_names(connection: Connection, steps: list[Step]) -> None:
    """Who owns two schemas could exchange their names between a step and the question whether it met the right table."""
    if connection.info.parameter_status("is_superuser") == "on":
        relation = Literal(steps[0].relation)
        connection.execute(SQL(sql.text("hold_schema_names.sql")).format(relation=relation))


def _check_names(connection: Connection, steps: list[Step]) -> None:
    """Triggers are made and dropped by name. Raises `_Misnamed`; what the steps did is taken back then."""
    names = Literal(sorted({step.qualified for step in steps}))
    question = SQL(sql.text("misnamed.sql")).format(relation=Literal(steps[0].relation), names=names)
    if connection.execute(question).fetchall():
        raise _Misnamed


def _missing_right(steps: list[Step], role: str, error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error)
    if any(step.needs_owner for step in steps) or len(locks(steps)) > 1:
        return f"{message}; remedy: run it as the table's owner"
    if "pgevents" in message:  # a member of the schema's owner without its rights
        return f"{message}; remedy: run it as the owner of the schema pgevents"
    return f"{message}; remedy: grant trigger on {steps[0].table} to {role}, and usage on its schema"


def _give_up(steps: list[Step], reason: str, told: OnStep, result: Applied) -> None:
    for step in steps:
        result.failed.append((step, reason))
        told(step, reason)


def _run(connection: Connection, step: Step) -> None:
    # The text is ours, with quoted names in it. Several statements in one go need the simple protocol: no parameters.
    connection.execute(cast("LiteralString", step.sql))
