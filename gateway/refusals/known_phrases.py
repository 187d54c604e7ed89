"""The phrases of an upstream's error text that a log may have: those that services are known to use, and nothing else.

An upstream quotes what it refuses, and it may do so in any form: in other letters, escaped, encoded, translated, in
parts. No comparison with the request finds all of that. So this looks for the phrases that may stay, not for those that
must go: each phrase is made of fixed words, numbers and the names of the APIs' own fields. The whole text is logged
only where the settings have bodies logged, with the reply that it stands in.
"""

from __future__ import annotations

import functools
import re

MAX_READ = 600  # characters
MAX_SAID = 300
NOTHING_KNOWN = "[words of the upstream]"

_NAME = (
    r"(?:"
    r"max_completion_tokens|previous_response_id|parallel_tool_calls|context_management|encrypted_content|"
    r"frequency_penalty|max_output_tokens|reasoning_content|presence_penalty|reasoning_effort|response_format|"
    r"anthropic-beta|anthropic_beta|stop_sequences|stream_options|budget_tokens|cache_control|output_config|"
    r"input_schema|instructions|service_tier|tool_call_id|top_logprobs|json_schema|temperature|tool_choice|"
    r"tool_result|tool_use_id|background|logit_bias|max_tokens|parameters|tool_calls|image_url|reasoning|signature|"
    r"tool_call|verbosity|function|logprobs|messages|metadata|thinking|tool_use|call_id|content|include|message|"
    r"effort|prompt|schema|stream|strict|system|betas|image|input|model|store|tools|top_k|top_p|usage|name|role|seed|"
    r"stop|text|tool|type|user|id|n"
    r"|\d{1,4})"
)
"""The fields of the APIs, the longest first."""
_MARKS = {
    "NUMBER": r"\d{1,9}(?:[.,_]\d{1,9}){0,4}[km%]?",
    "FIELD": rf"[`'\"]?{_NAME}(?:[.\[]{{1,2}}{_NAME}\]?){{0,4}}(?![\w-])[`'\"]?",
    "UNIT": r"(?: (?:tokens|requests|bytes|characters|images|messages|tools))?(?: per (?:second|minute|day))?",
    "PARAMETER": r"(?:parameter|field|argument|value|property|keyword argument|request argument|input|type)s?",
}
_PHRASES = (
    # too large
    r"(?:prompt|input|request|context) is too (?:long|large)(?:: NUMBER tokens? ?> ?NUMBER(?: maximum)?)?",
    r"(?:this model's )?maximum (?:context|prompt|input) length(?: is)?(?: NUMBER(?: tokens)?)?",
    r"context[_ ]length[_ ]exceeded",
    r"exceeds? the (?:available |model's )?(?:maximum )?context(?: length| size| window)?",
    r"(?:you |your )?(?:requested|messages resulted in|prompt contains|input has) NUMBER (?:input |output )?tokens",
    r"(?:at most|at least|maximum(?: of)?|minimum(?: of)?|limit(?: is| of|:)?) NUMBERUNIT",
    r"(?:request|payload|request entity|request body) (?:is )?too large",
    r"(?:exceeds|larger than|over) NUMBER ?(?:[kmg]?b|bytes)",
    # too often
    r"(?:rate|request|token|usage|concurrency|quota) ?limits?(?: was| is| has been)?(?: reached| exceeded)?",
    r"exceeded your (?:current quota|rate limit)",
    r"(?:please )?(?:re)?try again (?:in|after) NUMBER ?(?:ms|s|m|h|seconds?|minutes?|hours?)?",
    r"(?:please )?(?:re)?try again later",
    r"too many (?:concurrent )?requests",
    r"resource (?:has been )?exhausted|throttl(?:ed|ing)(?:exception)?",
    # keys and money
    r"(?:incorrect|invalid|missing|expired|wrong|no|revoked) (?:api[ _-]?key|x-api-key|credentials?|bearer token|key)",
    r"authentication (?:failed|error|required)|unauthori[sz]ed|forbidden|permission denied|access (?:is )?denied",
    r"(?:your )?credit balance is too low|insufficient[ _-](?:quota|funds|credits?|balance)|payment required",
    r"(?:billing|spend(?:ing)?) (?:hard )?limit|(?:out of|no) credits|check your plan and billing details",
    r"account (?:is )?(?:not active|disabled|deactivated|suspended)|organization must be verified",
    r"organization has been (?:disabled|restricted)|enable billing on your project|user location is not supported",
    r"not (?:allowed|authorized|permitted|entitled) to|(?:do|does) not have access",
    # models and addresses
    r"(?:the )?model (?:does not exist|(?:was |is )?not found|(?:is |has been )?deprecated|is not supported)",
    r"(?:no such|unknown|unsupported|invalid) (?:model|endpoint|url|route|deployment)",
    r"does not exist|not[ _]found(?:_error)?|method not allowed",
    # state
    r"(?:currently |temporarily )?(?:overloaded|unavailable|over capacity|busy)(?:_error)?|service unavailable",
    r"internal (?:server )?error|bad gateway|gateway time-?out|timed? ?out|connection (?:refused|reset|closed)",
    r"loading model|model is (?:currently )?loading|under maintenance",
    # what is wrong with a request
    r"FIELD:? extra inputs are not permitted|extra inputs are not permitted|invalid beta flag",
    r"(?:FIELD:? )?(?:field required|is required|is not supported|not supported|is deprecated)",
    r"(?:FIELD:? )?input should be (?:a |an )?(?:valid )?(?:string|list|dictionary|integer|number|object|array)",
    r"(?:FIELD:? )?must be (?:at least|at most|positive|(?:greater|less) than(?: or equal to)?)(?: NUMBER)?",
    r"(?:unsupported|unknown|unrecognized|invalid|missing|unexpected) PARAMETER(?:(?: supplied)?: FIELD)?",
    r"FIELD (?:does not|do not|cannot|must not|may not|should not) (?:support|be|have|exceed|contain|match)",
    r"cannot be (?:set|used|specified|modified|empty|combined)(?: (?:with|when|together with) FIELD)?",
    r"(?:instead )?use FIELD(?: instead)?|expected (?:a |an )?(?:string|array|object|number|integer|boolean)",
    r"invalid (?:request|json|schema|signature|base64|image)|validation error|bad request",
    r"(?:malformed|could not parse|failed to parse) (?:the )?(?:request|json|body)",
    r"tool_use ids were found without tool_result blocks|each tool_use must have|roles must alternate",
    r"no tool (?:output|call) found|must be followed by tool messages|text content blocks must be non-?empty",
    r"content (?:policy|filter|management policy)|flagged|safety (?:system|reasons|settings)|usage polic(?:y|ies)",
    r"upstream answered [1-5]\d\d|(?:with )?(?:an empty body|an html page)|without an error message",
)


def _meant(phrase: str) -> str:
    for mark, pattern in _MARKS.items():
        phrase = phrase.replace(mark, pattern)
    return phrase


@functools.cache
def _known() -> re.Pattern[str]:
    """Makes the pattern when the first error needs it: at the start, this would take a twentieth of the time."""
    return re.compile(rf"(?<![\w.])(?:{'|'.join(map(_meant, _PHRASES))})(?!\w)", re.IGNORECASE)


def of(message: str) -> str:
    """Returns the known phrases of an error text, in their order."""
    found = dict.fromkeys(phrase.group() for phrase in _known().finditer(message[:MAX_READ]))
    return "; ".join(found)[:MAX_SAID] or NOTHING_KNOWN
