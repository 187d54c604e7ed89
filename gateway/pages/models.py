"""The lists of models, and one model, for clients of every protocol."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, unquote

from gateway.pages import astray, picker
from gateway.pages.handlers import Handler
from gateway.routing.known_models import Model
from gateway.runtime import Service
from translate import dialects
from translate.codex import catalogue
from translate.dialect import Dialect
from translate.failures.errors import ApiError
from translate.json import wire


class Listed(Handler):
    """What is told of models. own: the dialect of the address, None where the client's headers tell it."""

    own: Dialect | None = None

    def initialize(self, service: Service, own: Dialect | None = None) -> None:
        super().initialize(service)
        self.own = own

    @property
    def dialect(self) -> Dialect:
        return self.own or super().dialect

    @property
    def for_codex(self) -> bool:
        asked = parse_qs(self.request.query, keep_blank_values=True)
        return self.own is None and catalogue.asks(asked, self.request.headers.get("User-Agent", ""))

    async def codex_entries(self, models: Sequence[Model]) -> bytes:
        told = parse_qs(self.request.query).get(catalogue.QUERY)
        version = told[-1] if told else self.request.headers.get("User-Agent", "")
        return await picker.for_codex(models, self.service.settings.server.codex_instructions, version)


class Models(Listed):
    """GET and HEAD of /v1/models: the list of models."""

    async def get(self) -> None:
        models = await self.service.listing.models(self.request.headers)
        if (rules := self.service.rules.get(self.client)) is not None:
            models = [model for model in models if rules.allow(model.upstream, model.id)]
        if self.for_codex:
            self.finish(self.service.masked(await self.codex_entries(models)))
            return
        if picker.is_for(self.request.headers):
            models = [picker.listed(model) for model in models]
        asked = {key: values[-1] for key, values in parse_qs(self.request.query).items()}
        try:
            page = self.dialect.models.page(models, asked)
        except ApiError as error:
            self.refuse(error)
            return
        self.finish(self.service.masked(wire.dumps(page)))

    head = get  # Tornado leaves out the body


class OneModel(Listed):
    """GET and HEAD of /v1/models/{id}: one model. An id may have slashes."""

    async def get(self, id: str) -> None:
        if (served := dialects.at(self.request.path)) is not None:
            self.set_header("Allow", "POST")
            error = ApiError("invalid_request", f"GET {self.request.path[:200]}: only POST is served here", 405)
            self.refuse(error, served.dialect)
            return
        models = await self.service.listing.models(self.request.headers)
        try:
            if (rules := self.service.rules.get(self.client)) is not None:
                rules.permitted(self.service.router.routes(unquote(id), self.dialect.name), unquote(id))
            model = self.service.listing.one(models, unquote(id), self.dialect)
            if self.for_codex:
                said = await self.codex_entries([model])
            else:
                said = wire.dumps(self.dialect.models.row(model))
            self.finish(self.service.masked(said))
        except ApiError as error:
            self.refuse(error)

    head = get

    def of_other_methods(self) -> ApiError:
        """Google's clients append what is to be done to the model's address (":predict")."""
        path = self.request.path
        if self.request.method != "POST" or ":" not in path:
            return super().of_other_methods()
        if (other := dialects.unserved(path)) is not None:
            return ApiError("not_found", f"POST {path[:200]} is not served here: {other[1]}")
        served = ", ".join(astray.alike(path))
        return ApiError("not_found", f"POST {path[:200]} is not served here; what is served: {served}")
