"""The plugin of pytest: what a test wrote to the database. Loaded by itself where pg_events is installed.

Every run of pytest imports this, those that never use it too: nothing is imported before the fixture is.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pg_events.testing.capture import Captured


@pytest.fixture(scope="session")
def capture_events() -> "Callable[..., AbstractContextManager[Captured]]":
    """`with capture_events(database_url) as captured:` has the block's events in `captured` afterwards.

    Takes what `pg_events.capture` takes: a URL or a connection, and `build=True` to install the triggers first.
    """
    from pg_events.testing.capture import capture

    return capture
