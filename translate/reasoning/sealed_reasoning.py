"""Another provider's proof of its reasoning, sealed into the one opaque field that a client's protocol has.

A Responses provider keeps its reasoning in encrypted_content, Anthropic in a signature or in redacted data. A client
sends back whichever field its own protocol has, unread; so that its history stays whole, the one travels inside the
other behind a prefix of ours. Whoever writes to an upstream opens its own seals and leaves out the others': no provider
is ever handed what another one wrote. A seal is no secret and proves nothing by itself. Thinking without any proof gets
an empty seal where a client may one day send it back to a provider that wants one: so that it is not taken for that
provider's own and refused, but left out (see foreign_reasoning.py).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from msgspec.structs import replace

from translate.conversation import Thinking
from translate.json import wire
from translate.json.json_fields import object_of, objects_of, text_of

_RESPONSES = "~sealed.responses.1."  # in a neutral signature or encrypted: a reasoning item's id and encrypted_content
_OTHER = "~sealed.other.1."  # in a Responses item's encrypted_content: signature, encrypted, Chat's detail
EXTRA = "~sealed.extra.1."  # in a neutral `encrypted`: what Gemini says beside a call or a message (chat/extras.py)
SUMMARY = "~sealed.summary.1."  # of our own compaction: a block's whole signature, the beginning of an item's cipher
_THOUGHTS = "~sealed.thoughts.1."  # in a Gemini client's thoughtSignature: all that was thought before a part
_PROXYS = "~sealed.proxy.1."  # in a neutral signature or encrypted: a protocol, and what its upstream had sealed
_OPAQUE = "opaque"  # in the place of the protocol: Chat, but from Copilot's reasoning_opaque
BLOCKS = "blocks"  # in the place of the protocol: Chat, but from LiteLLM's thinking_blocks, where it must go back
EMPTY = "~sealed.empty.1."  # in either: nobody has signed this thinking
MARK = b"~sealed."  # each seal begins so
_RARE = MARK[:1]
MAX_HITS = 100  # matches of the first byte that are looked at one by one


def of_item(id: str, encrypted_content: str) -> str:
    """Returns what a Responses provider needs to get back, as a neutral signature (or `encrypted`). Our own seal is no
    different: it comes from an upstream that is a proxy like this one, which alone may open it."""
    return _RESPONSES + _pack({"id": id, "encrypted_content": encrypted_content})


def is_of_item(proof: str) -> bool:
    return proof.startswith(_RESPONSES)


def item_in(proof: str) -> dict[str, str]:
    """Returns {"id", "encrypted_content"} of a seal made by `of_item`; {} where it is none, or was damaged."""
    return _unpack(proof, _RESPONSES)


def of_extra(extra: dict[str, Any]) -> str:
    """Returns what a Chat provider needs to get back beside a call or a message, as a neutral `encrypted`."""
    return EXTRA + _pack(extra)


def is_of_extra(proof: str) -> bool:
    return proof.startswith(EXTRA)


def extra_in(proof: str) -> dict[str, Any]:
    """Opens the seal of `of_extra`; {} = it is no such seal, or is damaged."""
    return _unpack(proof, EXTRA)


def of_upstream(proof: str, protocol: str) -> str:
    """Returns an upstream's proof as a neutral one. An upstream that is a proxy like this one has sealed it. It alone
    may open that: here it must not be taken for a seal of our own. protocol: in which the upstream was asked."""
    return f"{_PROXYS}{protocol}.{proof}" if is_seal(proof) else proof


def of_block(proof: str) -> str:
    """Returns the proof of an entry of LiteLLM's thinking_blocks as a neutral one, "" where it has none."""
    return f"{_PROXYS}{BLOCKS}.{proof}" if proof else ""


def is_of_block(proof: str) -> bool:
    return proof.startswith(f"{_PROXYS}{BLOCKS}.")


def of_opaque(proof: str) -> str:
    """Returns GitHub Copilot's reasoning_opaque as a neutral proof."""
    return f"{_PROXYS}{_OPAQUE}.{proof}"


def opaque_in(part: Thinking) -> str:
    """Opens the seal of `of_opaque`; "" = the part has none."""
    proof, own = part.signature or part.encrypted, f"{_PROXYS}{_OPAQUE}."
    return proof[len(own) :] if proof.startswith(own) else ""


def to_upstream(part: Thinking, protocol: str) -> Thinking | None:
    """Returns a part with its proof as an upstream of the protocol has given it, None where another has given it."""
    proof = part.signature or part.encrypted
    own = f"{_PROXYS}{protocol}."
    if proof.startswith(own):
        given = proof[len(own) :]
        return replace(part, signature=given) if part.signature else replace(part, encrypted=given)
    return None if proof.startswith((_RESPONSES, EXTRA, _PROXYS)) else part


def is_seal(proof: Any) -> bool:
    return isinstance(proof, str) and proof.startswith((_RESPONSES, _OTHER, EXTRA, _THOUGHTS, _PROXYS, SUMMARY, EMPTY))


def of_summary(text: str) -> str:
    """Returns what stands for a summary of ours in a compaction item's encrypted_content."""
    return SUMMARY + _pack({"summary": text})


def is_of_summary(proof: Any) -> bool:
    return isinstance(proof, str) and proof.startswith(SUMMARY)


def summary_in(encrypted_content: Any) -> str:
    """Returns the summary, "" where the cipher is not ours, or was damaged."""
    return text_of(_unpack(encrypted_content, SUMMARY), "summary") if is_of_summary(encrypted_content) else ""


def of_thoughts(parts: list[Thinking]) -> str:
    """Returns what stands for several thoughts, their words among it, where a protocol has one place for all."""
    said = [
        {"text": part.text, "signature": part.signature, "encrypted": part.encrypted, "provider": part.provider,
         "detail": part.ext.get("chat", {}).get("detail")}
        for part in parts
    ]  # fmt: skip
    return _THOUGHTS + _pack({"thoughts": [{key: value for key, value in each.items() if value} for each in said]})


def thoughts_in(proof: str) -> list[Thinking]:
    """Opens the seal of `of_thoughts`; [] = it is no such seal, or is damaged."""
    found = []
    for said in objects_of(_unpack(proof, _THOUGHTS), "thoughts"):
        part = Thinking(text_of(said, "text"), text_of(said, "signature"), text_of(said, "encrypted"))
        part.provider = text_of(said, "provider")
        if detail := object_of(said, "detail"):
            part.ext["chat"] = {"detail": detail}
        found.append(part)
    return found


def may_be_in(body: bytes, mark: bytes = MARK) -> bool:
    """Tells whether a body has the mark somewhere. Bodies are large, and almost none has it: a single byte is found
    many times as fast as several. mark: as the body's protocol has it."""
    if mark != MARK:
        return body.rfind(mark) >= 0
    at = body.find(_RARE)
    for _ in range(MAX_HITS):
        if at < 0 or body.startswith(MARK, at):
            return at >= 0
        at = body.find(_RARE, at + 1)
    return at >= 0 and MARK in body[at:]


def less_empty(proof: str) -> str:
    """Returns a proof as it was before an empty seal was put in the place of none."""
    return "" if proof == EMPTY else proof


def of_thinking(part: Thinking, signature: str) -> str:
    """Returns the encrypted_content that stands for a part's proofs, "" where it has none. signature: what its Close
    said."""
    signature = signature or part.signature
    for proof in (signature, part.encrypted):
        if is_of_item(proof):
            return item_in(proof).get("encrypted_content", "")
    if not signature and not part.encrypted:
        return ""
    said = {"signature": signature, "encrypted": part.encrypted, "detail": part.ext.get("chat", {}).get("detail")}
    return _OTHER + _pack({key: value for key, value in said.items() if value})


def thinking_in(encrypted_content: str, id: str, text: str) -> Thinking:
    """Returns the part that a client's item stands for by its encrypted_content (may be "") and readable text. A seal
    in an upstream's item is not for us."""
    encrypted_content = less_empty(encrypted_content)
    if encrypted_content.startswith(_OTHER):
        said = _unpack(encrypted_content, _OTHER)
        part = Thinking(text, text_of(said, "signature"), text_of(said, "encrypted"))
        if isinstance(detail := said.get("detail"), dict):
            part.ext["chat"] = {"detail": detail | ({"text": text} if text and "signature" in said else {})}
            part.provider = text_of(detail, "format").removeprefix("unknown")
        return part
    if not encrypted_content:
        return Thinking(text)
    proof = of_item(id, encrypted_content)
    return Thinking(text, proof) if text else Thinking(encrypted=proof)


def _pack(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(wire.dumps(value)).decode()


def _unpack(sealed: str, prefix: str) -> dict[str, Any]:
    """Returns {} if it is no such seal, or if a client has cut it."""
    if not sealed.startswith(prefix):
        return {}
    try:
        value = wire.loads(base64.b64decode(sealed[len(prefix) :], b"-_", validate=True))
    except (ValueError, binascii.Error):
        return {}
    return value if isinstance(value, dict) else {}
