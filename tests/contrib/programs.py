"""Programs of transactions, savepoints and contexts, and which writes of them remain, with which context."""

import itertools
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import pg_events
from pg_events.contexts import current

SETTINGS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass(frozen=True)
class Step:
    """`write`, `read`, `commit`, `rollback`, `savepoint`, `release` or `rollback to` of a name."""

    does: str
    name: str = ""


@dataclass(frozen=True)
class Within:
    """Steps within a context, or within a block that is left by commit or by an exception."""

    what: str
    """`context`, `block` or `failing block`."""
    user: int | None
    steps: list["Step | Within"]


Program = list[Step | Within]

_steps = st.builds(
    Step,
    st.sampled_from(["write", "write", "write", "read", "commit", "rollback", "savepoint", "release", "rollback to"]),
    st.sampled_from(["a", "b"]),
)
programs = st.lists(
    st.recursive(
        _steps,
        lambda inner: st.builds(
            Within,
            st.sampled_from(["context", "context", "block", "failing block"]),
            st.sampled_from([None, 1, 2]),
            st.lists(inner, max_size=5),
        ),
        max_leaves=12,
    ),
    min_size=1,
    max_size=10,
)


class Session(Protocol):
    """A connection by whatever library."""

    autocommit: bool

    def execute(self, text: str) -> object: ...
    def commit(self) -> object: ...
    def rollback(self) -> object: ...
    def block(self) -> AbstractContextManager[object]: ...


_numbers = itertools.count(1)


class Failure(Exception):
    pass


def run(program: Program, session: Session) -> list[tuple[int, Any]]:
    """Run a program in transactions of its own; the notes that remain with their contexts."""
    runner = _Runner(session)
    runner.steps(program)
    runner.commit()
    return runner.committed


class _Runner:
    """Executes steps, and knows what PostgreSQL keeps of them. A step that is not allowed where it is does nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pending: list[tuple[int, Any]] = []
        self._savepoints: list[tuple[str, int]] = []
        self._blocks: list[int] = []
        """Number of savepoints at the begin of each block that is open."""
        self._is_open = False
        """True if a statement outside of any block has begun a transaction."""
        self.committed: list[tuple[int, Any]] = []

    def steps(self, steps: Program) -> None:
        for step in steps:
            if isinstance(step, Step):
                getattr(self, step.does.replace(" ", "_"))(*([step.name] if step.does in _NAMED else []))
            elif step.what == "context":
                with pg_events.context(user=step.user):
                    self.steps(step.steps)
            else:
                with self._block(fails=step.what != "block"):
                    self.steps(step.steps)

    def write(self) -> None:
        number = next(_numbers)
        self._session.execute(f"insert into note values ({number})")
        user = dict(current.current()).get("user")
        self._pending.append((number, user and {"user": user}))
        self._is_open |= not self._session.autocommit and not self._blocks
        if self._session.autocommit and not self._blocks:
            self._keep()

    def read(self) -> None:
        self._session.execute("select count(*) from note")
        self._is_open |= not self._session.autocommit and not self._blocks

    def commit(self) -> None:
        if not self._blocks:
            self._session.commit()
            self._keep()

    def _keep(self) -> None:
        self.committed += self._pending
        self._forget()

    def _forget(self) -> None:
        self._pending.clear()
        self._savepoints.clear()
        self._is_open = False

    def rollback(self) -> None:
        if not self._blocks:
            self._session.rollback()
            self._forget()

    def savepoint(self, name: str) -> None:
        if self._blocks or not self._session.autocommit:
            self._session.execute(f"savepoint {name}")
            self._is_open |= not self._blocks
            self._savepoints.append((name, len(self._pending)))

    def release(self, name: str) -> None:
        if (position := self._position(name)) is not None:
            self._session.execute(f"release {name}")
            del self._savepoints[position:]

    def rollback_to(self, name: str) -> None:
        if (position := self._position(name)) is not None:
            self._session.execute(f"rollback to savepoint {name}")
            del self._pending[self._savepoints[position][1] :]
            del self._savepoints[position + 1 :]

    def _position(self, name: str) -> int | None:
        """Of the newest savepoint of this name within the innermost block."""
        lowest = self._blocks[-1] if self._blocks else 0
        positions = [number for number, (known, _) in enumerate(self._savepoints) if known == name and number >= lowest]
        return positions[-1] if positions else None

    @contextmanager
    def _block(self, *, fails: bool) -> Generator[None]:
        pending, savepoints = len(self._pending), len(self._savepoints)
        is_outermost = not self._blocks and not self._is_open
        try:
            with self._session.block():
                self._blocks.append(savepoints)
                yield
                self._blocks.pop()
                if fails:
                    raise Failure
        except Failure:
            del self._pending[pending:]
        del self._savepoints[savepoints:]
        if is_outermost:
            self._keep()


_NAMED = frozenset({"savepoint", "release", "rollback to"})
