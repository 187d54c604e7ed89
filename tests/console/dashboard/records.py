"""A record of a finished request as gateway/observe/record.py makes it, for tests that need no proxy to make one."""

from __future__ import annotations

from typing import Any


def record(key: str = "k1", **other: Any) -> dict[str, Any]:
    """`other` by Python's names: input, output, cached, written; the rest as the record has them."""
    names = {
        "input": "gen_ai.usage.input_tokens",
        "output": "gen_ai.usage.output_tokens",
        "cached": "gen_ai.usage.cache_read.input_tokens",
        "written": "gen_ai.usage.cache_creation.input_tokens",
        "reasoning": "gen_ai.usage.reasoning.output_tokens",
        "operation": "gen_ai.operation.name",
        "model": "gen_ai.request.model",
        "error": "error.type",
        "cost": "proxy.cost_usd",
    }
    plain = {
        "time": 1.0,
        "request_id": key,
        "client": "me",
        "protocol": "messages",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "fast",
        "upstream": "far",
        "upstream_protocol": "chat",
        "upstream_model": "gpt-5.1",
        "stream": True,
        "status": 200,
        "attempts": 1,
        "tried": [],
        "ended": "finished",
        "connection": "new",
        "receive_ms": 1.0,
        "queue_ms": 2.0,
        "ttfb_ms": 10.0,
        "first_token_ms": 20.0,
        "upstream_ms": 90.0,
        "overhead_ms": 3.0,
        "stream_ms": 70.0,
        "total_ms": 100.0,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "dropped": [],
        "session": "",
        "agent": "",
        "parent_agent": "",
        "proxy.cost_usd": None,
    }
    return plain | {names.get(name, name): value for name, value in other.items()}
