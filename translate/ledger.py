"""What becomes of each field of a request when it crosses: how to read the tables in the protocols' packages
(ledger.py).

Names are those of the official SDKs' parameter types. A top-level field has no prefix; others have role:, block: (a
content block), call:, item: (of Responses' input) or tool: before them. A cell says one of four things:

    = WHERE  mapped: the upstream gets it in its own words; what is lost on the way is named
    ~        carried: under the same name, with the same value
    - WHY    dropped, and reported in x-proxy-dropped; why the request is still worth sending
    ! WHY    refused with a 400 that names it: without it the request would mean something else

An empty or missing cell says what the first one says. These are data only: the code is in the protocols' packages. A
test compares each row with that code and with the SDKs, so that a new field of an SDK shows up as a missing row.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from msgspec import Struct

Fate = Literal["mapped", "carried", "dropped", "refused"]

FATES: dict[str, Fate] = {"=": "mapped", "~": "carried", "-": "dropped", "!": "refused"}


# Fields that are left out without a report: patterns of names, and why no report is needed.
SILENT = """
*.id *.status | names the thing in the store of its own provider
*.caller *.toolset_name *.approval_request_id | who ran it at its own provider; what came of it crosses
*.agent | which of OpenAI's agents did it; what it did crosses
*.allowed_callers | as unsaid: the model itself calls it
*.strict | always so at Anthropic; a search has no arguments of the client's
*.user_location *.external_web_access *.filters | says nothing by itself, or what is so anyway; what is in it crosses
*.file_id | beside the data itself it says the same; alone it is refused
*.logprobs | how likely the model's words were; they cross
*.phase | how OpenAI's models label what they have said; the words cross
block:compaction.encrypted_content block:compaction.signature | its provider's proof; the summary crosses
block:compaction.tool_changes* | changes of tools that are not there
block:search_result.citations block:search_result.citations.enabled | asks for citations of Anthropic's form
block:text_editor_code_execution_tool_result.content.*_line* | which lines they are; they cross themselves
block:search_result.content.cache_control* | a part of what may be marked as a whole
role:system.clear_at role:system.output_config | means nothing where it changes nothing; what it changes is changed
thinking.display reasoning.summary reasoning.generate_summary | what is told of the model's thinking is told
tool:custom.format tool:custom.custom.format *.tools.format | free text, as unsaid
tool:custom.input_schema.required | names no property; Google takes only names that there are
*.tools.parameters | an empty schema, as unsaid
item:function_call_output.call_id item:function_call_output.name item:function_call_output.namespace \
| the call says it
item:tool_search_output.execution item:tool_search_call.execution | who searched; what was found is offered
*.defer_loading | few deferred tools are offered at once, more are searched for; what has been found is offered
tool:tool_search.description tool:tool_search.parameters | those of a search that the client runs are offered
tool:*_toolset_*.configs* | as unsaid: the tool is offered
tool:tool_search_tool_*.cache_control* block:tool_search_tool_result.*cache_control* \
| the proxy answers the search itself
item:computer_call.pending_safety_checks.* item:computer_call_output.acknowledged_safety_checks* | OpenAI's own checks
item:shell_call.environment* item:shell_call_output.max_output_length | where it ran, and how much of it was kept
item:image_generation_call.* | how OpenAI made the picture; it crosses itself
item:file_search_call.results item:file_search_call.results.score | an empty result; its texts cross
"""

# The same for replies: fields that a client of another protocol neither gets nor is told about.
SILENT_REPLIES = """
id item:*.id object created created_at completed_at createTime model modelVersion responseId system_fingerprint \
sdkHttpResponse | names the reply at its provider; the client's has its own, and the model that it asked for
*.role *.status | as in every reply
*.caller *.toolset_name *.namespace *.async | of tools that such a client cannot offer
*.logprobs candidate.avgLogprobs candidate.logprobsResult candidate.tokenCount top_logprobs | asked for by fields that \
do not cross, which is reported
*.phase | how OpenAI's models label what they say
stop_details stop_sequence candidate.finishMessage | says more of a stop reason, where that is the one
block:web_search_tool_result.* | goes with the call that it answers; the pages are cited
item:web_search_call.action item:web_search_call.action.sources candidate.groundingMetadata.* \
candidate.citationMetadata.* candidate.urlContextMetadata | what was searched for and how; the pages are cited
item:message.content.annotations.* | which file; that something is cited is reported
item:reasoning.content | the summary is told, which came first
usage.*_details.* usage.total_tokens usage.fallback_credit usage.inference_geo usage.iterations usage.server_tool_use \
usage.service_tier usage.speed usageMetadata.*Details usageMetadata.totalTokenCount usageMetadata.trafficType \
tool_usage | what its provider counts apart; the sums cross
service_tier | of OpenAI's tiers; others have none
choice.message.audio.id choice.message.audio.expires_at | where OpenAI keeps it; the sound crosses
metadata instructions parallel_tool_calls temperature tool_choice tools top_p background conversation \
max_output_tokens max_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options \
prompt_cache_retention reasoning safety_identifier text truncation user image access_programs parsed \
automaticFunctionCallingHistory | what the request has said, once more
prompt_cache_diagnostics modelStatus candidate.continuationToken | for who speaks to that provider's API
part:partMetadata part:mediaProcessing | how Google reads a part
part:functionCall.partialArgs part:functionCall.willContinue | arguments in pieces, which only Google's clients ask for
candidate.safetyRatings promptFeedback.safetyRatings | how harmful Google finds it; what is blocked is a refusal
"""


class LedgerRow(Struct, frozen=True):
    """note: where to (mapped), why it is harmless (dropped), why not (refused), "" (carried)."""

    fate: Fate
    note: str


class Table:
    """What becomes of each field of one protocol's clients. protocol: its name. text: a head with the names of
    upstreams' protocols, and a line for each row. An upstream whose protocol the head does not name counts as the first
    one."""

    __slots__ = ("_protocol", "_rows", "_text")

    def __init__(self, protocol: str, text: str) -> None:
        self._protocol = protocol
        self._text = text
        self._rows: dict[str, dict[str, LedgerRow]] = {}

    def __repr__(self) -> str:
        return f"<Table of {self._protocol or 'nobody'}>"

    @property
    def text(self) -> str:
        return self._text

    def rows(self, upstream: str) -> dict[str, LedgerRow]:
        """Returns name -> its row, for a crossing to `upstream`, in the order of the table. Within one protocol all is
        carried."""
        found = self._rows.get(upstream)
        if found is None:
            found = self._rows[upstream] = self._read(upstream)
        return found

    def _read(self, upstream: str) -> dict[str, LedgerRow]:
        head, *lines = self._text.strip().splitlines()
        if self._protocol == upstream:
            return {name: LedgerRow("carried", "") for line in lines for name in _cells(line)[0].split()}
        named = _cells(head)
        column = named.index(upstream) if upstream in named else 1
        found: dict[str, LedgerRow] = {}
        for line in lines:
            cells = _cells(line)
            cell = (cells[column] if column < len(cells) else "") or cells[1]
            for name in cells[0].split():
                found[name] = LedgerRow(FATES[cell[0]], cell[1:].strip())
        return found

    def is_dropped(self, upstream: str, kind: str) -> bool:
        """Tells whether a block or an item of this type is known to stay behind."""
        found = self.rows(upstream)
        row = found.get(f"block:{kind}") or found.get(f"item:{kind}")
        return row is not None and row.fate == "dropped"

    def why(self, upstream: str, dropped: str) -> str:
        """Returns the reason for a name as it stands in x-proxy-dropped ("top_k", "tools.TYPE", "thinking.display", a
        block's or an item's type); "" where there is no row for it."""
        known = self.rows(upstream)
        section, _, inner = dropped.partition(".")
        names = [dropped, f"tool:{inner}" if section == "tools" else f"block:{dropped}", f"item:{dropped}"]
        names += [f"block:{inner}", f"item:{inner}"] if inner else []
        return next((known[name].note for name in names if name in known and known[name].fate == "dropped"), "")


@cache
def silent() -> dict[str, str]:
    """Returns patterns of names -> why such a field may stay behind without a word."""
    return _reasons(SILENT)


@cache
def silent_replies() -> dict[str, str]:
    """The same of the fields of replies."""
    return _reasons(SILENT_REPLIES)


def _reasons(table: str) -> dict[str, str]:
    lines = (line.partition("|") for line in table.strip().splitlines())
    return {name: why.strip() for names, _, why in lines for name in names.split()}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]
