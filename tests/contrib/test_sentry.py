"""The recipe for Sentry in the documentation, with its own SDK and a transport that keeps what it would send."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import psycopg
import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from pg_events import Discard
from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker

SENT: list[dict[str, Any]] = []


class Kept(Transport):
    def capture_envelope(self, envelope: Envelope) -> None:
        if (event := envelope.get_event()) is not None:
            SENT.append(dict(event))


@pytest.fixture
def recipe() -> Iterator[Any]:
    """The middleware, as the documentation has it."""
    SENT.clear()
    page = files("pg_events.docs").joinpath("callbacks.md").read_text("utf-8")
    (code,) = [part for part in page.split("```python\n")[1:] if "sentry_sdk" in part]
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(code.partition("```")[0], names)
    sentry_sdk.init(dsn="http://key@localhost/1", transport=Kept, default_integrations=False)
    yield names["sentry"]
    sentry_sdk.get_client().close()


def test_a_failure_is_sent_with_its_event_and_an_outcome_is_not(db: psycopg.Connection, url: str, recipe: Any) -> None:
    db.execute("insert into note values (1), (2)")

    def act(payload: str) -> None:
        if '"id":1' in payload:
            raise ValueError("no")
        raise Discard("not mine")

    report = Worker(Settings(url, data_update_callback=act, middleware=(recipe,), max_attempts=1), start=OLDEST).run(
        once=True
    )

    assert (report.failed, report.discarded) == (1, 1)
    (event,) = SENT
    assert event["exception"]["values"][-1]["type"] == "ValueError"
    assert event["tags"]["pg_events.consumer"] == "default"
    assert event["contexts"]["pg_events"]["table"] == "note"
    assert event["contexts"]["pg_events"]["attempt"] == 1
