"""Starlette and FastAPI: request, method, path, route and user of a request are the context of what it writes.

    app.add_middleware(ContextMiddleware)

What is written by SQLAlchemy or psycopg needs the `attach` of its own module, too. `lifespan` runs a worker in the process of
the application.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from pg_events.config.settings import Settings, load
from pg_events.contexts.current import context
from pg_events.delivery.worker import Worker

log = logging.getLogger(__name__)

_CHARACTERS: Final = 200
"""Length to which the header of a request's identity is cut."""

User = Callable[[Scope], Any]
"""Function of the user of a request, called at the first write."""


class ContextMiddleware:
    """Gives each request and WebSocket a context; pure ASGI, for endpoints with `def` and `async def` alike.

    `user` is a function of the scope, called at the first write and each further one, so that it finds a user whom a
    dependency has put into `request.state`. Without one it is the identity of `request.user`, as `AuthenticationMiddleware`
    sets it, else `request.state.user`.
    """

    def __init__(self, app: ASGIApp, user: User | None = None) -> None:
        self.app = app
        self.user = user or _user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        with context(
            request=_header(scope["headers"], b"x-request-id") or uuid.uuid4().hex,
            method=scope.get("method"),
            path=scope["path"],
            route=lambda: getattr(scope.get("route"), "path", None),
            user=lambda: self.user(scope),
        ):
            await self.app(scope, receive, send)


State = Mapping[str, Any] | None
Lifespan = Callable[[Any], AbstractAsyncContextManager[State]]


def lifespan(
    settings: str | Settings,
    consumer: str = "default",
    *,
    around: Lifespan | None = None,
    shutdown_seconds: float = 10.0,
) -> Lifespan:
    """Lifespan of an application that runs a worker in its process: `FastAPI(lifespan=lifespan("shop.settings"))`.

    `settings` are those of `pg_events worker --settings`. The worker has a thread of its own, and async callbacks an event
    loop of their own. The application starts once the worker is connected, and does not start if that fails. At its end the
    worker finishes its event for up to `shutdown_seconds`; one that takes longer is delivered again. `around` is
    another lifespan, which begins before the worker and ends after it.
    """

    @asynccontextmanager
    async def run(app: Any) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            state = await stack.enter_async_context(around(app)) if around is not None else None
            loaded = load(settings) if isinstance(settings, str) else settings
            await stack.enter_async_context(_working(loaded, consumer, shutdown_seconds))
            yield state

    return run


@asynccontextmanager
async def _working(settings: Settings, consumer: str, shutdown_seconds: float) -> AsyncGenerator[None]:
    loop, started = asyncio.get_running_loop(), asyncio.Event()
    errors: list[BaseException] = []

    def ready() -> None:
        loop.call_soon_threadsafe(started.set)

    def work() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - there is no caller; told by the log, and raised at the start
            errors.append(error)
            log.error("the worker of consumer %s has ended: %s", consumer, error)  # noqa: TRY400 - its words are enough
            loop.call_soon_threadsafe(started.set)

    # A worker that waits for a share of the rows is connected, and the application may start.
    worker = Worker(settings, consumer, on_ready=ready)
    thread = threading.Thread(target=work, name=f"pg_events worker {consumer}", daemon=True)
    thread.start()
    try:
        while not started.is_set() and worker.disconnected_reason is not None:
            await asyncio.sleep(_START_SECONDS)
        if errors:
            raise errors[0]
        yield
    finally:
        worker.stop()
        await asyncio.to_thread(thread.join, shutdown_seconds)
        if thread.is_alive():
            log.warning(
                "consumer %s: its event was not finished within %g s; it is delivered again", consumer, shutdown_seconds
            )


_START_SECONDS: Final = 0.01
"""Interval at which the start looks whether the worker is connected."""


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1")[:_CHARACTERS] for key, value in headers if key == name), "")


def _user(scope: Scope) -> Any:
    user: Any = scope.get("user")
    if user is None:
        state: dict[str, Any] = scope.get("state", {})
        return state.get("user")
    if not getattr(user, "is_authenticated", True):
        return None
    try:
        return user.identity
    except (AttributeError, NotImplementedError):  # SimpleUser has none
        return getattr(user, "display_name", None) or user
