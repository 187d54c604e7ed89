"""Known services: what a `preset = NAME` in an [upstream NAME] stands for, written as the file would write it.

Only what their own replies and errors show, and where they are where that is public and fixed. A key that the section
holds itself goes before; keys are always the user's own to give. What a service refuses in spite of this is learned
from its first 400 (see [translate] learn).
"""

from __future__ import annotations

_CHAT = {"protocol": "chat"}
_LOCAL = _CHAT | {"first_byte": "300", "request": "600"}  # a model that must be loaded first, on slow hardware

PRESETS: dict[str, dict[str, str]] = {
    # Answers 400 to a part that is no text; thinking must come back beside tool calls, and only there.
    "deepseek": _CHAT | {
        "base_url": "https://api.deepseek.com",
        "reasoning_history": "tool_calls",
        "reasoning_effort": "true",
        "images": "false",
        "max_stops": "16",
    },
    # Its own form of reasoning_details comes back whole, signatures and ciphers too.
    "openrouter": _CHAT | {
        "base_url": "https://openrouter.ai/api/v1",
        "reasoning": "reasoning",
        "reasoning_history": "true",
        "reasoning_effort": "true",
    },
    "groq": _CHAT | {
        "base_url": "https://api.groq.com/openai/v1",
        "max_tokens_field": "max_completion_tokens",
        "reasoning": "reasoning",
        "drop": "prompt_cache_key",
    },
    # Answers 422 (extra_forbidden) to any field that it does not know; usage comes unasked.
    "mistral": _CHAT | {
        "base_url": "https://api.mistral.ai/v1",
        "stream_options": "false",
        "reasoning_effort": "false",
        "drop": "user, prompt_cache_key",
        "rename": "seed=random_seed",
    },
    "gemini": _CHAT | {
        "base_url": "https://generativelanguage.googleapis.com/v1beta/openai",
        "reasoning_effort": "true",
        "tool_schema": "gemini",
        "max_stops": "5",
        "drop": "user, prompt_cache_key",
    },
    # Most of its models reason without being told how hard, and answer 400 when they are.
    "xai": _CHAT | {
        "base_url": "https://api.x.ai/v1",
        "max_tokens_field": "max_completion_tokens",
        "reasoning_effort": "false",
    },
    # base_url is https://RESOURCE.openai.azure.com/openai/v1, or without /openai/v1 where api_version is given.
    "azure": {
        "protocol": "chat, responses",
        "key_header": "api-key",
        "max_tokens_field": "max_completion_tokens",
        "developer_role": "true",
    },
    "ollama": _LOCAL | {
        "base_url": "http://127.0.0.1:11434",
        "reasoning": "reasoning",
        "reasoning_effort": "false",
        "tool_schema": "grammar",
    },
    "vllm": _LOCAL | {"base_url": "http://127.0.0.1:8000", "tool_schema": "grammar"},
    # Answers what it should refuse, and streams Responses in a grammar of its own; heeds schemas by Chat alone.
    "llamacpp": _LOCAL | {
        "base_url": "http://127.0.0.1:8080",
        "rebuild": "true",
        "output_schema": "chat",
        "tool_schema": "grammar",
    },
    "cerebras": _CHAT | {
        "base_url": "https://api.cerebras.ai/v1",
        "max_tokens_field": "max_completion_tokens",
        "reasoning": "reasoning",
        "drop": "frequency_penalty, presence_penalty, prompt_cache_key",
    },
    "together": _CHAT | {"base_url": "https://api.together.xyz/v1", "reasoning": "reasoning"},
    "moonshot": _CHAT | {
        "base_url": "https://api.moonshot.ai/v1",
        "reasoning_history": "tool_calls",
        "reasoning_effort": "false",
    },
    # One stop word and no more.
    "zai": _CHAT | {
        "base_url": "https://api.z.ai/api/paas/v4",
        "reasoning_history": "tool_calls",
        "reasoning_effort": "false",
        "max_stops": "1",
    },
    "fireworks": _CHAT | {"base_url": "https://api.fireworks.ai/inference/v1"},
    # Endpoints stand right below the host; usage is in every chunk.
    "perplexity": _CHAT | {
        "base_url": "https://api.perplexity.ai",
        "add_v1": "false",
        "stream_options": "false",
        "drop": "user, prompt_cache_key",
    },
}  # fmt: skip
