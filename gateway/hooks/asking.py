"""One question to a hook, and what becomes of its answer.

A refusal is an error in the client's protocol. A hook that gives no answer in its time refuses, or is passed over, as
its section says.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from gateway.flow.client_request import ClientRequest
from gateway.hooks.callers import Caller, Failed, Said
from operate.logs.fields import fields
from operate.settings.sections import Hook
from translate.failures import errors
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

MAX_MESSAGE = 1000  # characters of a refusal
MOST_PARTS = 8  # of a name, between its slashes

Count = collections.Counter[tuple[str, str, str]]
"""By hook, event and outcome: allowed, changed, refused, failed."""


class Asking:
    """Asks hooks. told: how often each hook gave which answer."""

    def __init__(self, hooks: Sequence[tuple[Hook, Caller]], told: Count) -> None:
        self._hooks = hooks
        self.told = told

    def __repr__(self) -> str:
        return f"<Asking {', '.join(hook.name for hook, _ in self._hooks)}>"

    def of(self, event: str, model: str) -> list[tuple[Hook, Caller]]:
        """Returns the hooks that are asked about requests or replies of a model. A name may begin with the upstream's
        name, which does not bypass a hook."""
        parts = model.split("/")
        names = ["/".join(parts[at:]) for at in range(min(len(parts), MOST_PARTS))]
        return [
            (hook, caller) for hook, caller in self._hooks
            if event in hook.on
            and (not hook.models or any(fnmatchcase(name, each) for each in hook.models for name in names))
        ]  # fmt: skip

    async def ask(self, hook: Hook, caller: Caller, event: Said, key: str) -> Said | None:
        """Returns the body that the hook has made; None if it leaves the body as it is. Raises ApiError."""
        kind = event["event"]
        try:
            said = await caller.ask(event)
        except Failed as why:
            self.told[hook.name, kind, "failed"] += 1
            log.warning("request %s: [hook %s] gave no answer about the %s: %s", key, hook.name, kind, why,
                        extra=fields(request_id=key, hook=hook.name, open=hook.fail == "open"))  # fmt: skip
            if hook.fail == "open":
                return None
            raise ApiError("overloaded", f"the hook '{hook.name}' of the proxy did not answer", 503) from None
        action = said.get("action", "allow")
        self.told[hook.name, kind, _OUTCOMES[action]] += 1
        if action == "refuse":
            raise _refusal(hook, said, kind, key)
        return said["body"] if action == "change" else None


_OUTCOMES = {"allow": "allowed", "change": "changed", "refuse": "refused"}


def about(event: str, request: ClientRequest) -> Said:
    """Returns the data that a hook gets besides the body."""
    return {
        "event": event,
        "request_id": request.key,
        "client": request.client,
        "protocol": request.protocol,
        "path": request.dialect.served(request.task),
        "model": request.asked_model,
        "session": request.session.name,
        "stream": request.streams,
    }


def _refusal(hook: Hook, said: Said, kind: str, key: str) -> ApiError:
    status = said.get("status", 400)
    status = status if isinstance(status, int) and 400 <= status <= 599 else 400
    message = said.get("message")
    words = message[:MAX_MESSAGE] if isinstance(message, str) and message else f"the {kind} was refused"
    log.info("request %s: [hook %s] refuses the %s with %d", key, hook.name, kind, status,
             extra=fields(request_id=key, hook=hook.name, status=status))  # fmt: skip
    return ApiError(errors.kind_of(status), words, status)
