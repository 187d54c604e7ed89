"""What the tests of the websocket share."""

from __future__ import annotations

import pytest

from tests.gateway.stored.test_responses_state import chat_text
from tests.support.house import House, one_upstream
from tests.support.script import Upstream


@pytest.fixture
def chat():
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat")) as house:
        yield house, up
