"""Presets: the settings that `preset = NAME` in an [upstream NAME] stands for, written as in a settings file.

A preset says only what the service's own replies and errors show, and its address if that is public and fixed; in a
cloud's is the section's own region, project or resource. A key that is written in the section takes precedence. API
keys are never part of a preset; those of AWS say where AWS keys are usually found. If a service refuses a field in
spite of its preset, the proxy learns that from the 400 (see [translate] learn).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from operate.settings.environment import expand

_CHAT = {"protocol": "chat"}
_AWS = {
    "region": "${AWS_REGION:${AWS_DEFAULT_REGION:}}",
    "api_key": "aws:",
    "key_header": "authorization",
    "list_models": "false",
}
_LOCAL = _CHAT | {"first_byte": "300", "request": "600"}  # slow hardware may have to load the model first

PRESETS: dict[str, dict[str, str]] = {
    # It answers 400 to a part that is not text. Earlier thinking must be sent back with tool calls, and only there.
    "deepseek": _CHAT | {
        "base_url": "https://api.deepseek.com",
        "reasoning_history": "tool_calls",
        "reasoning_effort": "low, high, max",
        "thinking_switch": "thinking",
        "images": "false",
        "max_stops": "16",
    },
    # Its reasoning_details are sent back whole, with signatures and encrypted parts.
    "openrouter": _CHAT | {
        "base_url": "https://openrouter.ai/api/v1",
        "reasoning": "reasoning",
        "reasoning_history": "true",
        "reasoning_effort": "none, minimal, low, medium, high, xhigh",
        "thinking_switch": "reasoning",
    },
    "groq": _CHAT | {
        "base_url": "https://api.groq.com/openai/v1",
        "max_tokens_field": "max_completion_tokens",
        "reasoning": "reasoning",
        "drop": "prompt_cache_key",
    },
    # It answers 422 (extra_forbidden) to any field that it does not know. It always sends usage.
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
    # The same models by Google's own protocol: thoughts, their signatures and searches cross whole.
    "gemini-native": {
        "protocol": "gemini",
        "base_url": "https://generativelanguage.googleapis.com/v1beta",
    },
    # Some of its models that reason answer 400 when a request says how hard.
    "xai": _CHAT | {
        "base_url": "https://api.x.ai/v1",
        "max_tokens_field": "max_completion_tokens",
        "reasoning_effort": "known",
    },
    # base_url is https://RESOURCE.openai.azure.com/openai/v1, or the same without /openai/v1 if api_version is set.
    "azure": {
        "protocol": "chat, responses",
        "key_header": "api-key",
        "max_tokens_field": "max_completion_tokens",
        "developer_role": "true",
    },
    # Models that do not think answer 400 to each effort but none.
    "ollama": _LOCAL | {
        "base_url": "http://127.0.0.1:11434",
        "reasoning": "reasoning",
        "reasoning_effort": "none",
        "tool_schema": "grammar",
    },
    "vllm": _LOCAL | {
        "base_url": "http://127.0.0.1:8000",
        "thinking_switch": "chat_template_kwargs",
        "tool_schema": "grammar",
    },
    # It accepts requests that it should refuse, and its Responses streams have a form of their own. It follows the
    # schema of a reply only by Chat.
    "llamacpp": _LOCAL | {
        "base_url": "http://127.0.0.1:8080",
        "rebuild": "true",
        "thinking_switch": "chat_template_kwargs",
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
        "reasoning_effort": "known",
        "thinking_switch": "thinking",
    },
    # It takes one stop sequence.
    "zai": _CHAT | {
        "base_url": "https://api.z.ai/api/paas/v4",
        "reasoning_history": "tool_calls",
        "reasoning_effort": "known",
        "thinking_switch": "thinking",
        "max_stops": "1",
    },
    "fireworks": _CHAT | {"base_url": "https://api.fireworks.ai/inference/v1"},
    # Claude by its own endpoint, other models by OpenAI's. Which of them a model has is in AWS's list of models.
    "bedrock": _AWS | {
        "protocol": "messages, chat, responses",
        "base_url": "https://bedrock-runtime.{region}.amazonaws.com",
        "paths": "messages=anthropic/v1, chat=openai/v1, responses=openai/v1",
        "aws_service": "bedrock",
    },
    # InvokeModel, for models of Anthropic that have only that.
    "bedrock-invoke": _AWS | {
        "protocol": "messages",
        "base_url": "https://bedrock-runtime.{region}.amazonaws.com",
        "envelope": "bedrock",
        "aws_service": "bedrock",
    },
    "bedrock-mantle": _AWS | {
        "protocol": "messages, chat, responses",
        "base_url": "https://bedrock-mantle.{region}.api.aws",
        "paths": "messages=anthropic/v1",
        "aws_service": "bedrock-mantle",
        "list_models": "true",
    },
    # Claude Platform on AWS. An api_key of its own goes into x-api-key.
    "claude-aws": _AWS | {
        "protocol": "messages",
        "base_url": "https://aws-external-anthropic.{region}.api.aws",
        "aws_service": "aws-external-anthropic",
        "key_header": "auto",
        "list_models": "true",
    },
    # Claude by rawPredict, Google's own models by their own methods. The key is an access token: cmd:gcloud auth
    # print-access-token, or google:FILE.
    "vertex": {
        "protocol": "messages, gemini",
        "base_url": "https://{vertex}/v1",
        "paths": "gemini=v1/projects/{project}/locations/{region}/publishers/google",
        "envelope": "vertex",
        "call_ids": "false",
        "key_header": "authorization",
        "list_models": "false",
    },
    "foundry": {
        "protocol": "messages, chat, responses",
        "base_url": "https://{resource}.services.ai.azure.com",
        "paths": "messages=anthropic/v1, chat=openai/v1, responses=openai/v1",
        "max_tokens_field": "max_completion_tokens",
        "list_models": "false",
    },
    # Its paths have no /v1. It sends usage in every chunk.
    "perplexity": _CHAT | {
        "base_url": "https://api.perplexity.ai",
        "add_v1": "false",
        "stream_options": "false",
        "drop": "user, prompt_cache_key",
    },
}  # fmt: skip

NEEDED = {"vertex": ("project", "region"), "bedrock-invoke": ("region",)}
"""What a preset cannot do without, wherever base_url leads to."""

_VERTEX = {"global": "aiplatform.googleapis.com", "us": "aiplatform.us.rep.googleapis.com",
           "eu": "aiplatform.eu.rep.googleapis.com"}  # fmt: skip
_NAME = re.compile(r"\{(\w+)\}")


class Lacking(Exception):
    """A key that the preset's value is made of is empty; its name is the text."""


def filled(text: str, section: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """A preset's value with the section's own words in it. Raises Lacking."""

    def word(found: re.Match[str]) -> str:
        name = "region" if found[1] == "vertex" else found[1]
        said = str(section.get(name) or "")
        if not said:
            raise Lacking(name)
        return _VERTEX.get(said, f"{said}-aiplatform.googleapis.com") if found[1] == "vertex" else said

    return _NAME.sub(word, expand(text, environ).text if "${" in text else text)
