"""Applies a plan without blocking users.

Steps that touch no user table run first, in one transaction. Then one transaction per table, in the order of the names,
each with a short lock timeout: a writer never waits longer for a build than that, and is never the victim of a deadlock
with a build. If a lock is not available, the table is retried after the others. After an interruption, plan and apply
again.
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
"""Maximum time for which a build makes a writer wait."""
TRIES: Final = 30
"""Maximum lock timeouts for a table, or for the schema."""
OTHER_BUILD_SECONDS: Final = 60.0
"""Maximum time to wait for another build; it blocks no writers meanwhile."""

_REFUSED: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_MADE: Final = (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation)
"""Errors raised if another build has created the schema meanwhile."""

OnStep = Callable[[Step, str], None]
"""Function called after each step with `done`, `waiting` (its table is busy, to be retried) or the reason of the failure."""


@dataclass
class Applied:
    """Result of applying a plan."""

    applied: int = 0
    failed: list[tuple[Step, str]] = field(default_factory=list[tuple[Step, str]])
    """Failed steps, each with the reason in one line."""


def apply(
    database_url: str, plan: Plan, on_step: OnStep | None = None, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
) -> Applied:
    """Apply a plan; finished steps are kept if it is interrupted. Blocks until everything is done or given up.

    A failed step does not stop those of other tables; see `Applied.failed`. Raises `NotPermitted` or another
    `PgEventsError` if the schema itself could not be created, in which case nothing was changed.
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
    """Lock timeouts of a build, and so the waits of writers that queue behind it."""

    lock_seconds: float
    """Timeout for the lock of one table."""
    deadlock_seconds: float
    """The server's `deadlock_timeout`, after which a waiting session checks for a deadlock and becomes its victim."""

    @property
    def first_seconds(self) -> float:
        """Timeout for the first lock of tables that change together."""
        return self.lock_seconds / 2

    @property
    def further_seconds(self) -> float:
        """Timeout for all further locks together, so that in a deadlock the writer is not the first to detect it."""
        return min(self.lock_seconds, self.deadlock_seconds) / 2


def _quiet(connection: Connection, lock_timeout_seconds: float) -> _Limits:
    """Apply the settings of a build: no limits of the role, and no notices about existing objects."""
    row = connection.execute(
        "select setting::float8 / 1000, has_parameter_privilege(name, 'set') from pg_settings where name = 'deadlock_timeout'"
    ).fetchone()
    assert row is not None
    deadlock_seconds, may_look_first = row
    connection.settle(
        {"statement_timeout": "0", "default_transaction_read_only": "off", "client_min_messages": "warning"}
    )
    if may_look_first:
        # The session whose deadlock check fires first is the victim (and cancels a blocking autovacuum): make it ours.
        connection.settle({"deadlock_timeout": _milliseconds(lock_timeout_seconds / 4)})
    return _Limits(lock_timeout_seconds, deadlock_seconds)


def _milliseconds(seconds: float) -> str:
    return f"{max(1, int(seconds * 1000))}ms"


def _apply_together(
    connection: Connection, steps: list[Step], plan: Plan, told: OnStep, result: Applied, limits: _Limits
) -> None:
    """Apply the steps that touch no user table: all or none, one build at a time.

    Writers to covered tables write to the log, so steps that lock the log must not wait long either.
    """
    if not steps:
        return
    begin = time.monotonic()
    timeouts, is_first = 0, True
    while True:
        watch, version = Watch(), 0
        patience = limits.lock_seconds if is_first else OTHER_BUILD_SECONDS
        try:
            with connection.transaction(), _watched(connection, not is_first) as watch:
                version = _begin_together(connection, steps, plan, patience)
                if version and any(step.migration is not None for step in steps):
                    connection.execute(sql.text("lock_log.sql"))
                # A build that is creating the schema only has a lock on its name.
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
            # A deadlock ends early and makes writers wait little: busy writers can cause many in a row.
            timeouts += not isinstance(error, psycopg.errors.DeadlockDetected)
            is_first = False
            waited = time.monotonic() - begin
            if timeouts == TRIES or waited > OTHER_BUILD_SECONDS:
                if isinstance(error, _MADE):
                    raise
                raise PgEventsError(
                    f"{steps[0].action} {steps[0].object}: gave up after {waited:.1f} s, its lock is held by {watch.words}; "
                    "run it again once that has ended"
                ) from error
            told(steps[0], "waiting")
            _let_others_through(limits)
    for step in steps:
        result.applied += 1
        told(step, "done")


def _begin_together(connection: Connection, steps: list[Step], plan: Plan, patience: float) -> int:
    """Begin a transaction that changes the schema; return its version, 0 if there is none, 1 if not read."""
    if plan.role is not None:
        connection.execute(SQL("set local role {}").format(Identifier(plan.role)))
    _say_who(connection)
    if not _keep_others_out(connection, patience):
        return 0
    if plan.is_first_part or all(step.action == "drop" for step in steps):
        return 1
    # The schema may have been replaced since the plan was made.
    trust.check(connection, builds=True)
    return _version(connection)


def _say_who(connection: Connection) -> None:
    """Mark the DDL of this transaction as a build's, so that it is not captured; accepted only from roles that may build."""
    connection.execute("select set_config('pgevents.building', 'on', true)")


def _limit(connection: Connection, seconds: float) -> None:
    """Set the lock timeout for the rest of the transaction."""
    connection.execute("select set_config('lock_timeout', %s, true)", [_milliseconds(seconds)])


def _let_others_through(limits: _Limits) -> None:
    """Pause for writers queued behind this build, with jitter so that builds do not retry at the same time."""
    time.sleep(random.uniform(0.5, 1.5) * limits.lock_seconds)  # noqa: S311 - jitter


def _watched(connection: Connection, is_wanted: bool) -> AbstractContextManager[Watch]:
    """Watch for the blocking sessions on the last try."""
    return watched(connection) if is_wanted else nullcontext(Watch())


def _keep_others_out(connection: Connection, seconds: float) -> bool:
    """Lock out other builds until the transaction ends; return False if there is no schema.

    Only the schema's owner can take the lock, and it blocks nothing but other builds.
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
    """Table, or a tree of tables that change together, and its number of attempts."""

    steps: list[Step]
    tries: int = 1
    awaited: str = ""
    """Table of a tree whose lock was not available last time."""


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
            tried = f"no lock in {TRIES} attempts of {limits.lock_seconds} s"
            _give_up(steps, f"{tried}, it is held by {watch.words}", told, result)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            _give_up(steps, "the table no longer exists; build again", told, result)
        except _Misnamed:
            _give_up(steps, "its name now refers to another table; build again", told, result)
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
    """Lock tables that change together, starting with the one that was not available last time."""
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
    """Raised if a name refers to another table than when the build was planned."""


def _hold_schema_names(connection: Connection, steps: list[Step]) -> None:
    """Lock the schema names: their owner could swap them between a step and the check of its table."""
    if connection.info.parameter_status("is_superuser") == "on":
        relation = Literal(steps[0].relation)
        connection.execute(SQL(sql.text("hold_schema_names.sql")).format(relation=relation))


def _check_names(connection: Connection, steps: list[Step]) -> None:
    """Check that the names still refer to the planned tables. Raises `_Misnamed`, which rolls the steps back."""
    names = Literal(sorted({step.qualified for step in steps}))
    question = SQL(sql.text("misnamed.sql")).format(relation=Literal(steps[0].relation), names=names)
    if connection.execute(question).fetchall():
        raise _Misnamed


def _missing_right(steps: list[Step], role: str, error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error)
    if any(step.needs_owner for step in steps) or len(locks(steps)) > 1:
        return f"{message}; remedy: run it as the table's owner"
    if "pgevents" in message:  # a member of the schema's owner without its privileges
        return f"{message}; remedy: run it as the owner of the schema pgevents"
    return f"{message}; remedy: grant trigger on {steps[0].table} to {role}, and usage on its schema"


def _give_up(steps: list[Step], reason: str, told: OnStep, result: Applied) -> None:
    for step in steps:
        result.failed.append((step, reason))
        told(step, reason)


def _run(connection: Connection, step: Step) -> None:
    # The text is ours, with quoted names in it. Several statements at once need the simple protocol, without parameters.
    connection.execute(cast("LiteralString", step.sql))
