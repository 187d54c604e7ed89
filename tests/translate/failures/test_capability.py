"""Errors of other protocols' upstreams, and the proxy's own, in words that Claude Code acts on."""

from __future__ import annotations

import json

import pytest

from translate import dialects
from translate.failures import capability
from translate.failures.errors import ApiError, BadRequest

SAID: dict[str, tuple[str, str]] = {
    "Unsupported parameter: 'reasoning_effort' is not supported with this model.": (
        "reasoning_effort", "effort_unsupported"),
    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.": (
        "response_format", "structured_outputs_unsupported"),
    "The model `x` does not support image input.": ("", "image_block"),
    "Invalid content type. image_url is only supported by certain models.": ("messages[0].content[1]", "image_block"),
    "No endpoints found that support image input": ("", "image_block"),
    "This model does not support PDF input": ("", "document_block"),
    "Unknown parameter: 'top_k'.": ("top_k", "top_k"),
    "Unsupported parameter: 'logit_bias'": ("", "logit_bias"),
    "messages: role 'system' is not supported here": ("", "mid_conv_system"),
    "cache_control: unknown field": ("", "cache_control_field"),
    "Missing required parameter: 'model'.": ("model", ""),
    "You have been very wrong": ("", ""),
    "no": ("p", ""),
}  # fmt: skip


@pytest.mark.parametrize("message", SAID)
def test_the_upstreams_words_stay_and_the_token_follows(message: str) -> None:
    field, name = SAID[message]
    error = ApiError("invalid_request", message, 400, param=field or None)
    said = json.loads(dialects.of("messages").errors.body(error))["error"]["message"]
    assert said == (f"{message} (capability_rejected: {name})" if name else message)
    for protocol in ("chat", "responses"):
        assert json.loads(dialects.of(protocol).errors.body(error))["error"]["message"] == message


def test_a_token_that_is_there_is_not_said_twice() -> None:
    for message in ("capability_rejected: image_block", "Input tag 'x' found using 'type' does not match image, not"):
        assert capability.with_token(message) == message


def test_a_tool_type_that_is_refused_is_named_as_anthropic_names_it() -> None:
    message = "Invalid value: 'advisor_20260301'. Supported values are: 'function', 'custom', and 'web_search'."
    error = ApiError("invalid_request", message, 400, param="tools[3].type")
    said = json.loads(dialects.of("messages").errors.body(error))["error"]["message"]
    assert said.startswith(
        "tools.3: Input tag 'advisor_20260301' found using 'type' does not match any of the expected tags: 'function', "
    )
    assert message in said


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("image 'file_x' is a file of another provider; send it as base64 or by URL", "image_block"),
        ("document 'file_x' is a file of another provider; send it as base64 or by URL", "document_block"),
    ],
)
def test_our_own_refusals_carry_it_too(message: str, name: str) -> None:
    assert f"capability_rejected: {name}" in dialects.of("messages").errors.body(BadRequest(message)).decode()


def test_other_kinds_of_errors_have_none() -> None:
    error = ApiError("rate_limit", "too many images, not now")
    assert b"capability" not in dialects.of("messages").errors.body(error)


def test_fields_that_may_not_be_left_out() -> None:
    said = capability.of_left(["tools.advisor_20260301", "top_k"])
    assert (
        said == f"{capability.input_tag('advisor_20260301', chr(39) + 'custom' + chr(39))}; capability_rejected: top_k"
    )
