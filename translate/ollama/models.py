"""What Ollama's clients are told of models."""

from __future__ import annotations

import hashlib

from translate.json.json_fields import Body
from translate.model_list import ListedModel

VERSION = "0.12.6"
"""The version of Ollama whose form this is. Clients ask for it, and some want 0.6.4 at the least."""

_DETAILS = {"parent_model": "", "format": "", "family": "", "families": [], "parameter_size": "",
            "quantization_level": ""}  # fmt: skip


def row(model: ListedModel) -> Body:
    digest = hashlib.sha256(model.id.encode("utf-8", "surrogatepass")).hexdigest()
    return {
        "name": model.id, "model": model.id, "modified_at": model.made, "size": 0, "digest": digest,
        "details": _DETAILS | {"family": model.upstream, "families": [model.upstream]},
    }  # fmt: skip


def capabilities(model: ListedModel) -> list[str]:
    """What is not known is offered: an editor hides what is not here, and the upstream refuses what it cannot do."""
    seeing = [] if model.sees is False else ["vision"]
    return ["completion", "tools", *seeing, *(["thinking"] if model.thinks else [])]


def shown(model: ListedModel) -> Body:
    family = model.upstream or "model"
    info: Body = {"general.architecture": family, "general.basename": model.name or model.id}
    if model.context:
        info[f"{family}.context_length"] = model.context
    return {
        "modelfile": "", "parameters": "", "template": "", "license": "", "modified_at": model.made,
        "details": _DETAILS | {"family": family, "families": [family]}, "model_info": info,
        "capabilities": capabilities(model),
    }  # fmt: skip
