"""How many tokens the models of an upstream take and write: by [sizes] of the settings, else by the upstream's own
list, else by the shipped one."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway.routing import shipped_models


class ModelLimits(Struct, frozen=True):
    """How many tokens a model takes, and writes at most; 0 = unknown. sees: whether it takes images."""

    context: int = 0
    output: int = 0
    sees: bool | None = None


UNKNOWN = ModelLimits()


class ModelSizes:
    """Of one upstream. own: the lines of [sizes]. told: what its own list says."""

    def __init__(self, upstream: str, base_url: str, own: Mapping[str, tuple[int, int]]) -> None:
        self.own = own
        self.told: dict[str, ModelLimits] = {}
        self._upstream = upstream
        self._own = shipped_models.by_pattern(own)
        self._is_near = shipped_models.is_near(base_url)

    def __repr__(self) -> str:
        return f"<ModelSizes of {self._upstream}: {len(self._own)} of the settings, {len(self.told)} told>"

    def of(self, model: str) -> ModelLimits:
        told, shipped = self.told.get(model, UNKNOWN), UNKNOWN if self._is_near else _shipped(model)
        sees = told.sees if told.sees is not None else shipped.sees
        for glob, (context, output) in self._own:
            if glob.match(f"{self._upstream}/{model}") or glob.match(model):
                return ModelLimits(context, output, sees)
        return ModelLimits(told.context or shipped.context, told.output or shipped.output, sees)


def _shipped(model: str) -> ModelLimits:
    said = shipped_models.known(model)
    takes = said.get("takes")
    return ModelLimits(
        said.get("context", 0), said.get("output", 0), None if takes is None else "image" in takes.split()
    )
