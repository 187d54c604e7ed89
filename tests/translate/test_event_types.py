"""Each type of event that the official SDKs know is read, or known to say nothing that does not come again.

A new release of an SDK may bring a type. Then this fails and names it: translate/responses/assembly.py or
translate/messages/assembly.py is to read it, or a table here says why not.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest
from anthropic.types.beta import BetaRawContentBlockDelta, BetaRawMessageStreamEvent
from openai.types.responses import ResponseStreamEvent

from tests.support.sample import members
from tests.translate.messages.material import decode as decode_messages
from tests.translate.messages.material import opened, sse, stopped, view
from translate.messages.decode_stream import _RUNNING
from translate.responses.assembly import Assembly

ITS_ITEM_SAYS_IT = {
    # How far a provider's own tool is.
    "response.code_interpreter_call", "response.code_interpreter_call_code", "response.file_search_call",
    "response.image_generation_call", "response.mcp_call", "response.mcp_call_arguments", "response.mcp_list_tools",
    "response.shell_call_command", "response.shell_call_output_content", "response.web_search_call",
    "response.compaction",
    # Where a part begins and ends.
    "response.content_part", "response.reasoning_summary_part",
}  # fmt: skip
NO_MODEL_SAYS_IT = {"response.audio", "response.audio.transcript"}
OF_THE_RESPONSE = {"response.created", "response.queued", "response.in_progress"}

BLOCKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text_delta": ({"type": "text", "text": ""}, {"text": "zq"}),
    "input_json_delta": ({"type": "tool_use", "id": "t", "name": "f", "input": {}}, {"partial_json": '{"zq":1}'}),
    "citations_delta": ({"type": "text", "text": "a"}, {"citation": {
        "type": "web_search_result_location", "url": "http://zq", "title": "zq", "cited_text": "a"}}),
    "thinking_delta": ({"type": "thinking", "thinking": "", "signature": ""}, {"thinking": "zq"}),
    "signature_delta": ({"type": "thinking", "thinking": "a", "signature": ""}, {"signature": "zq"}),
    "compaction_delta": ({"type": "compaction", "content": None}, {"content": "zq"}),
}  # fmt: skip
"""Delta -> (the block that it belongs to, what it says)."""


def kinds(union: Any) -> list[str]:
    return sorted({kind for member in members(union) for kind in get_args(member.model_fields["type"].annotation)})


@pytest.mark.parametrize("kind", kinds(ResponseStreamEvent))
def test_of_responses(kind: str) -> None:
    stem = kind.rpartition(".")[0]
    said = {"item_id": "i", "output_index": 0, "content_index": 0, "summary_index": 0, "annotation_index": 0}
    item = {"type": "message", "id": "i", "role": "assistant", "content": []}
    assembly = Assembly()
    assembly.event(kind, {"type": kind, "response": {}, "item": item, "part": {}, "annotation": {}} | said)
    is_read = assembly.ended or bool(assembly._order)
    assert is_read != (stem in ITS_ITEM_SAYS_IT | NO_MODEL_SAYS_IT or kind in OF_THE_RESPONSE), (
        "which of the two is it?"
    )


def test_of_messages() -> None:
    assert {*kinds(BetaRawMessageStreamEvent)} <= {*_RUNNING, "message_start"}


@pytest.mark.parametrize("kind", kinds(BetaRawContentBlockDelta))
def test_deltas_of_messages(kind: str) -> None:
    assert kind in BLOCKS, "name the block that it belongs to, and see that it is read"
    block, said = BLOCKS[kind]
    begun, delta = opened(0, **block), {"type": "content_block_delta", "index": 0, "delta": {"type": kind} | said}
    without, with_it = (
        view(decode_messages([sse(*events)])) for events in ((begun, stopped(0)), (begun, delta, stopped(0)))
    )
    assert "zq" in str(with_it) and "zq" not in str(without)
