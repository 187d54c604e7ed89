"""The models that clients may ask for: what /v1/models, the pickers and Ollama's lists show.

The list has the names that a client may ask for: the exact names in the settings, and the models of each upstream under
names that lead there. The upstreams are asked in parallel with a short timeout (Claude Code waits three seconds for the
list), and their answers are kept. An upstream that does not answer is left out, and asked again soon.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from msgspec.structs import replace
from tornado.httputil import HTTPHeaders

from gateway.credentials.signing import signed
from gateway.http import loop_guard
from gateway.http.loop_guard import Hops
from gateway.routing.known_models import Model, read_list
from gateway.routing.model_sizes import UNKNOWN, ModelLimits
from gateway.routing.router import Router
from gateway.routing.upstreams import LiveUpstream
from translate.dialect import Dialect
from translate.failures.errors import ApiError
from translate.json import wire
from upstream.client import UpstreamClient
from upstream.request import Request, Timeouts
from upstream.small_reply import SmallReplySink

log = logging.getLogger("gateway")

PATIENCE = Timeouts(connect=1.5, first_byte=2.0, idle=2.0, total=2.0)
KEPT_S = 300.0  # how long the list of an upstream is kept
RETRY_S = 20.0  # the wait after an upstream did not answer
MAX_LIST_BYTES = 4 << 20


class Listing:
    """The names of all models, from the settings and from the upstreams' lists, which are kept for KEPT_S."""

    def __init__(
        self, router: Router, client: UpstreamClient, hops: Hops,
        priced: Callable[[str, str], tuple[float, float] | None] = lambda upstream, model: None,
    ) -> None:  # fmt: skip
        """priced: what is known of a price besides the upstream's own list, as in Model."""
        self._hops = hops
        self._priced = priced
        self._router = router
        self._client = client
        self._lists: dict[str, tuple[float, list[Model]]] = {}  # upstream -> (time until which it is kept, models)
        self._asking: dict[str, asyncio.Task[list[Model]]] = {}

    def __repr__(self) -> str:
        return f"<Listing of {len(self._lists)} upstreams>"

    async def models(self, asked_by: HTTPHeaders) -> list[Model]:
        """All models that clients may ask for. asked_by: the headers of the client's request."""
        router = self._router
        upstreams = list(router.upstreams.values())
        lists = await asyncio.gather(*(self._of(upstream, asked_by) for upstream in upstreams))
        told = {(upstream.name, model.id): model for upstream, models in zip(upstreams, lists, strict=True)
                for model in models}  # fmt: skip
        found = {}
        for name, upstream in router.names():
            target = router.model_of(name)
            found[name] = self._with_what_is_known(told.get((upstream, target)) or Model(target, upstream), name)
        for (name, _), model in told.items():
            known_as = router.listed_as(model.id, router.upstreams[name])
            found.setdefault(known_as, self._with_what_is_known(model, known_as))
        return list(found.values())

    def one(self, models: list[Model], id: str, dialect: Dialect) -> Model:
        """Every name that leads to an upstream is a model, listed or not. Raises ApiError (404)."""
        model = next((m for m in models if m.id == id), None)
        if model is None:
            route = self._router.routes(id, dialect.name)[0]
            model = self._with_what_is_known(Model(route.model, route.upstream.name), id)
        return model

    def _with_what_is_known(self, model: Model, name: str) -> Model:
        """The model under the name that clients have for it. Its price is the one of its upstream's list, if any."""
        price = model.price if model.price is not None else self._priced(model.upstream, model.id)
        upstream = self._router.upstreams.get(model.upstream)
        limits = upstream.limits_of(model.id) if upstream is not None else UNKNOWN
        return replace(
            model, id=name, price=price, context=limits.context or model.context, output=limits.output or model.output,
            sees=limits.sees if model.sees is None else model.sees,
        )  # fmt: skip

    async def _of(self, upstream: LiveUpstream, asked_by: HTTPHeaders) -> list[Model]:
        if not upstream.models_url:
            return []
        until, models = self._lists.get(upstream.name, (0.0, []))
        if until > time.monotonic():
            return models
        task = self._asking.get(upstream.name)
        if task is None:  # several requests at once share one question
            task = self._asking[upstream.name] = asyncio.ensure_future(self._ask(upstream, asked_by))
        return await asyncio.shield(task)

    async def probe(self, upstream: LiveUpstream) -> int:
        """Asks an upstream for its list, and returns how many models it has. Raises ApiError."""
        return len(await self._fetch(upstream, HTTPHeaders()))

    async def _ask(self, upstream: LiveUpstream, asked_by: HTTPHeaders) -> list[Model]:
        try:
            models, keep = await self._fetch(upstream, asked_by), KEPT_S
        except ApiError as error:
            log.warning("upstream '%s' gave no list of models: %s", upstream.name, error.message)
            models, keep = self._lists.get(upstream.name, (0.0, []))[1], RETRY_S
        finally:
            del self._asking[upstream.name]
        self._lists[upstream.name] = (time.monotonic() + keep, models)
        limits = {model.id: ModelLimits(model.context, model.output, model.sees) for model in models}
        self._router.told(upstream, limits)
        return models

    async def _fetch(self, upstream: LiveUpstream, asked_by: HTTPHeaders) -> list[Model]:
        """The models that any key of an upstream may use. Raises ApiError if no key gets an answer."""
        self._hops.check_upstream(upstream.name, upstream.base_url)
        keys = range(len(upstream.settings.credentials))
        asked = [self._fetch_with(upstream, key, asked_by) for key in keys]
        lists = await asyncio.gather(*asked, return_exceptions=True)
        models: dict[str, Model] = {}
        for said in lists:
            if isinstance(said, list):
                for model in said:
                    models.setdefault(model.id, model)
            elif not isinstance(said, ApiError):
                raise said
        if refusals := [said for said in lists if isinstance(said, ApiError)]:
            if len(refusals) == len(lists):
                raise refusals[0]
            log.warning("upstream '%s' gave no list of models for %d of its %d keys: %s", upstream.name, len(refusals),
                        len(lists), refusals[0].message)  # fmt: skip
        return list(models.values())

    async def _fetch_with(self, upstream: LiveUpstream, key: int, asked_by: HTTPHeaders) -> list[Model]:
        await upstream.ready(key)
        own = [
            f"{name}: {value}"
            for name, value in upstream.headers_with(key)[upstream.lists_in.name].items()
            if name != "content-type"
        ]
        if loop_guard.is_told(upstream.base_url):
            own.append(f"{loop_guard.HEADER}: {self._hops.onward(asked_by)}")
        sink = SmallReplySink(MAX_LIST_BYTES)
        own, signing = signed(upstream.settings, upstream.minted(key), own, None)
        self._client.send(Request("GET", upstream.models_url, own, None, PATIENCE, upstream.way, signing=signing), sink)
        reply = await sink.done
        if reply.failure is not None:
            raise ApiError("upstream", reply.failure.message)
        if reply.status != 200:
            raise ApiError("upstream", f"it answered {reply.status}")
        try:
            data = wire.loads(reply.body)
        except ValueError:
            raise ApiError("upstream", "its list of models is not JSON") from None
        return read_list(data, upstream.name)
