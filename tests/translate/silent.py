"""Fields that are left out without a report: patterns of names, and why no report is needed.

The names are those of the ledger (translate/fields/ledger.py), with the names of the fields within."""

from __future__ import annotations


def _reasons(table: str) -> dict[str, str]:
    lines = (line.partition("|") for line in table.strip().splitlines())
    return {name: why.strip() for names, _, why in lines for name in names.split()}


REQUESTS = _reasons("""
*.id *.status | names the thing in the store of its own provider
*.caller *.toolset_name *.approval_request_id | who ran it at its own provider; what came of it crosses
*.agent | which of OpenAI's agents did it; what it did crosses
*.allowed_callers | as unsaid: the model itself calls it
*.strict | always so at Anthropic; a search has no arguments of the client's
*.user_location *.external_web_access | says nothing by itself, or what is so anyway; what is in it crosses
*.file_id | beside the data itself it says the same; alone it is refused
*.logprobs | how likely the model's words were; they cross
*.phase | how OpenAI's models label what they have said; the words cross
block:compaction.encrypted_content block:compaction.signature | its provider's proof; the summary crosses
block:compaction.tool_changes* | changes of tools that are not there
block:search_result.citations.enabled | asks for citations of Anthropic's form
block:text_editor_code_execution_tool_result.content.*_line* | which lines they are; they cross themselves
block:search_result.content.cache_control* | a part of what may be marked as a whole
role:system.clear_at role:system.output_config | means nothing where it changes nothing; what it changes is changed
thinking.display reasoning.summary reasoning.generate_summary | what is told of the model's thinking is told
tool:custom.format tool:custom.custom.format *.tools.format | free text, as unsaid
tool:custom.input_schema.required | names no property; Google takes only names that there are
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
""")

# Of replies: fields that a client of another protocol neither gets nor is told about.
REPLIES = _reasons("""
id item:*.id object created created_at completed_at createTime model modelVersion responseId system_fingerprint \
sdkHttpResponse | names the reply at its provider; the client's has its own, and the model that it asked for
*.role *.status | as in every reply
*.caller *.toolset_name *.namespace *.async | of tools that such a client cannot offer
*.logprobs candidate.avgLogprobs candidate.logprobsResult candidate.tokenCount top_logprobs | asked for by fields that \
cross to OpenAI's protocols alone; elsewhere that is reported
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
part:functionCall.partialArgs part:functionCall.willContinue | arguments in pieces, where there are no others
candidate.safetyRatings promptFeedback.safetyRatings | how harmful Google finds it; what is blocked is a refusal
""")
