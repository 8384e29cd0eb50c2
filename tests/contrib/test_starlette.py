"""Starlette and FastAPI: the middleware, with endpoints of both kinds and every driver."""

import asyncio
import json
import re
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi
import httpx
import psycopg
import psycopg_pool
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pg_events.contrib import psycopg as by_psycopg
from pg_events.contrib import sqlalchemy as by_sqlalchemy
from pg_events.contrib.starlette import ContextMiddleware
from tests.contrib.conftest import Contexts, Statements
from tests.contrib.test_sqlalchemy import address


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def request(name: str, path: str, route: str, user: object = None) -> dict[str, Any]:
    known = {"request": name, "method": "POST", "path": path, "route": route}
    return known if user is None else {**known, "user": user}


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_fastapi_with_sqlalchemy(url: str, contexts: Contexts, statements: Statements, driver: str) -> None:
    engine = create_async_engine(address(url, driver), pool_size=2)
    sync_engine = sa.create_engine(address(url, "psycopg"), pool_size=2)
    by_sqlalchemy.attach(engine)
    by_sqlalchemy.attach(sync_engine)
    app = fastapi.FastAPI()
    app.add_middleware(ContextMiddleware)

    def logged_in(request: fastapi.Request) -> None:  # in a thread: what it sets in a context variable would be lost
        request.state.user = request.headers.get("X-User")

    @app.post("/async/{number}", dependencies=[fastapi.Depends(logged_in)])
    async def asynchronous(number: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(sa.text("select 1"))
            await connection.execute(sa.text("insert into note values (:id)"), {"id": number})

    @app.post("/sync/{number}", dependencies=[fastapi.Depends(logged_in)])
    def synchronous(number: int) -> None:
        with sync_engine.begin() as connection:
            connection.execute(sa.text("insert into note values (:id)"), {"id": number})

    @app.post("/read")
    async def read() -> int:
        async with engine.begin() as connection:
            return (await connection.execute(sa.text("select count(*) from note"))).scalar_one()

    async def main() -> None:
        async with asking(app) as client:
            await client.post("/read")
            assert statements.sent == 0
            answers = await asyncio.gather(
                *(
                    client.post(f"/{kind}/{number}", headers={"X-Request-ID": f"r-{number}", "X-User": f"u-{number}"})
                    for number in range(20) for kind in [("async", "sync")[number % 2]]
                )
            )  # fmt: skip
            assert {answer.status_code for answer in answers} == {200}
        await engine.dispose()

    asyncio.run(main())
    sync_engine.dispose()

    kinds = ("async", "sync")
    assert sorted(contexts(), key=lambda one: one[0]) == [
        (n, request(f"r-{n}", f"/{kinds[n % 2]}/{n}", f"/{kinds[n % 2]}/{{number}}", f"u-{n}")) for n in range(20)
    ]
    assert statements.sent == 20


class Header(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.headers.get("X-User")
        return None if name is None else (AuthCredentials(), SimpleUser(name))


def test_starlette_with_psycopg_and_its_authentication(url: str, contexts: Contexts) -> None:
    async def main() -> None:
        async with psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=2, configure=configure) as pool:

            async def write(request: Request) -> PlainTextResponse:
                async with pool.connection() as connection:
                    await connection.execute("insert into note values (%s)", [request.path_params["number"]])
                return PlainTextResponse("")

            app = Starlette(
                routes=[Route("/note/{number:int}", write, methods=["POST"])],
                middleware=[Middleware(ContextMiddleware), Middleware(AuthenticationMiddleware, backend=Header())],
            )
            async with asking(app) as client:
                await client.post("/note/1", headers={"X-Request-ID": "r-1", "X-User": "ann"})
                await client.post("/note/2", headers={"X-Request-ID": "r-2" + "x" * 1000})
                await client.post("/note/3")

    async def configure(connection: Any) -> None:
        by_psycopg.attach(connection)

    asyncio.run(main())

    (first, known), (second, unknown), (third, unnamed) = contexts()
    assert (first, second, third) == (1, 2, 3)
    assert (known["request"], known["user"], known["path"]) == ("r-1", "ann", "/note/1")
    assert unknown["request"] == ("r-2" + "x" * 1000)[:200]
    assert "user" not in unknown
    assert len(unnamed["request"]) == 32


def test_a_user_that_fails_does_not_fail_the_write(url: str, contexts: Contexts) -> None:
    def user(_scope: Any) -> Any:
        raise RuntimeError("no session")

    engine = sa.create_engine(address(url, "psycopg"))
    by_sqlalchemy.attach(engine)
    app = fastapi.FastAPI()
    app.add_middleware(ContextMiddleware, user=user)

    @app.post("/note")
    def write() -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("insert into note values (1)"))

    async def main() -> None:
        async with asking(app) as client:
            assert (await client.post("/note", headers={"X-Request-ID": "r"})).status_code == 200

    asyncio.run(main())
    engine.dispose()

    assert contexts() == [(1, request("r", "/note", "/note"))]


def test_the_documented_application_has_the_documented_context(
    url: str, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "pg_events/docs/fastapi.md").read_text("utf-8")
    code, *_ = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (context,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    db.execute("create table orders (id integer primary key, status text)")
    db.execute("insert into orders values (7, 'new')")
    monkeypatch.setenv("DATABASE_URL", address(url, "asyncpg").render_as_string(hide_password=False))
    module = types.ModuleType("app")
    exec(compile(code, "app.py", "exec"), vars(module))

    async def main() -> None:
        async with asking(module.app) as client:
            answer = await client.post("/orders/7/pay", headers={"X-User": "ann", "X-Request-ID": "r-1"})
            assert answer.status_code == 200
        await module.engine.dispose()

    asyncio.run(main())

    found = db.execute("select context from pgevents.log where table_name = 'orders' and kind = 'U'").fetchone()
    assert found is not None
    assert json.loads(found[0]) == json.loads(context)
