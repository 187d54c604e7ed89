"""What differs between the batches of one API and those of another: the requests in them, their results, their end."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol

from tornado.httputil import HTTPHeaders

from gateway.batches import messages_form, openai_form
from gateway.batches.call import Call
from gateway.batches.item import Answered
from operate.batch_store import Batch, BatchStore, Outcome, Work
