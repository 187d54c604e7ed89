"""The demo upstream runs once for each file of tests; the SDKs and a plain client ask it."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx2 as httpx
import openai
import pytest

from tests.demo.running import LONG_EVENTS, TOKEN, Running


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with Running(slow_first_byte_s=0.3, slow_event_s=0.01, long_events=LONG_EVENTS) as server:
        yield server


@pytest.fixture(scope="module")
def claude(running: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=running.url, api_key=TOKEN, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def gpt(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key=TOKEN, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def http(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers={"x-api-key": TOKEN}, timeout=30) as client:
        yield client
