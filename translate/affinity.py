"""The key by which OpenAI finds a session's prompt in its cache again.

Anthropic caches what a client marks; OpenAI caches by itself, but spreads requests over machines, each with a cache of
its own, and `prompt_cache_key` keeps those of one session together. A Messages client has no word for it, yet it says
whose request it is: the session's header, or metadata.user_id. The key is a hash of that: the same for the whole
session, and it tells nobody who the user is. Servers that merely call themselves compatible may refuse the field, so a
key is made only where the upstream's policy says so; one that the client brought itself crosses as it is.
"""

from __future__ import annotations

import hashlib

from translate.conversation import Conversation
from translate.fields.words import NOBODY
from translate.target import Target

KEY_CHARACTERS = 32  # 64 is the most that OpenAI takes


def prompt_cache_key(conversation: Conversation, target: Target) -> str:
    """Returns the key to send, or "" for none."""
    session = target.session or conversation.user
    has_no_word = conversation.words is not NOBODY and not conversation.words.cache_key
    made = target.policy.prompt_cache_key and session and has_no_word
    if conversation.cache_key or not made:
        return conversation.cache_key
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_CHARACTERS]
