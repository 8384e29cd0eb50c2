"""Starlette and FastAPI: request, method, path, route and user of a request are the context of what it writes.

    app.add_middleware(ContextMiddleware)

What is written by SQLAlchemy or psycopg needs the `attach` of its own module, too.
"""

import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from pg_events.contexts.current import context

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
