"""What services say of a request that may do well elsewhere: no credit, no such model, no room at the moment.

They say so under whatever status, often under 400, with or without a code. Words are looked for where no code tells.
They may be a quotation of the request, which gateway/refusals/own_words.py finds out.
"""

from __future__ import annotations

import re

from translate import late
from translate.failures import vendor_codes

# How services say that an account has no credit, or is closed. The status may be 400 (Anthropic, Groq, Google), 429
# (OpenAI), 402 or 403.
NO_CREDIT_CODES = frozenset({
    "billing_error", "insufficient_quota", "insufficient_balance", "insufficient_credits", "insufficient_user_quota",
    "exceeded_current_quota_error", "billing_not_active", "billing_hard_limit_reached", "credits_exhausted",
    "arrearage", "organization_restricted", "usage_not_included", "budget_exceeded",
    *map(str.lower, vendor_codes.NO_CREDIT),
})  # fmt: skip
_NO_CREDIT = late.pattern(
    r"credit balance is too low|insufficient[ _-](?:account )?(?:credits?|balance|funds|quota)|(?:out of|no) credits\b"
    r"|(?:used all|run out of|not have (?:any|enough|sufficient)|n't have (?:any|enough|sufficient)) .{0,30}credits?\b"
    r"|credits? (?:limit )?(?:is |are |has been |have been )?(?:exceeded|exhausted|depleted|used up)"
    r"|exceeded your (?:current quota, please check your plan|monthly .{0,20}credits)"
    r"|(?:spending|spend|billing(?: hard)?) limit|api usage limits|arrearage|account .{0,30}(?:not active|in arrears"
    r"|in good standing)|exceeded_current_quota|please (?:recharge|top up)|payment required"
    r"|organization has been (?:disabled|restricted)|enable billing on your project|user location is not supported"
    r"|account (?:\S{1,80} )?(?:is|was|has been) (?:suspended|deactivated|terminated)|access was terminated due to"
    r"|country, region,? or territory not supported|usage limit for this billing cycle",
    re.I,
)
_SOON = late.pattern(r"retry in|try again in|per (?:second|minute|day)", re.I)  # a limit that passes has the same words

# How services say under 400 that they do not have a model, or no longer: DeepSeek, OpenRouter, Mistral, Bedrock, z.ai,
# xAI, Groq, Vertex, Copilot, LiteLLM, ChatGPT's plans. The others say 404.
NO_MODEL_CODES = frozenset({
    "invalid_model", "model_not_found", "model_not_supported", "model_not_available", "model_decommissioned",
})  # fmt: skip
_NO_MODEL = late.pattern(
    r"\bmodel not (?:exist|found)|\bunknown model\b|\binvalid model(?: name passed|:)|\bnot a valid model\b"
    r"|model identifier is invalid|model names are .{1,500} but you passed|on-demand throughput isn.t supported"
    r"|\bmodel:? [`'\"]?[\w./:@-]{1,200}[`'\"]? (?:does not exist|(?:was |is )?not found"
    r"|has been (?:decommissioned|retired|deprecated|removed))"
    r"|\b(?<!for )(?<!with )(?<!on )(?<!for this )(?<!with this )(?<!on this )(?<!for the )(?<!with the )(?<!on the )"
    r"model(?::? [`'\"]?[\w./:@-]{1,200}[`'\"]?)? is not (?:available|accessible|enabled|allowed(?! to\b))\b"
    r"|\bmodel is not supported when using codex\b",
    re.I,
)  # what is not available for a model is something else

# How services say, of a request that is good, that they cannot take it now: ChatGPT's plans, Gemini, relays.
_NO_ROOM = late.pattern(
    r"\b(?:at|over) (?:full |maximum |its )?capacity\b|\bexperiencing (?:very )?high (?:demand|load|traffic)\b"
    r"|\b(?:server|service|engine|model|system|cluster)s? (?:is|are) (?:currently |too )?(?:busy|overloaded)\b",
    re.I,
)


def no_credit(message: str) -> str:
    """Returns the words by which an error says that the account has no credit, or is closed; "" if it does not."""
    found = _NO_CREDIT.search(message[:4000])
    return found.group() if found and not _SOON.search(message[:4000]) else ""


def no_model(message: str) -> str:
    """Returns the words by which an error says that there is no such model; "" if it does not."""
    found = _NO_MODEL.search(message[:1000])
    return found.group() if found else ""


def no_room(message: str) -> str:
    """Returns the words by which an error says that the service is overloaded; "" if it does not."""
    found = _NO_ROOM.search(message[:1000])
    return found.group() if found else ""
