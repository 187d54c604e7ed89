"""The vocabulary of OpenAI's models, from a package that has it inside (extras/tokenizers.txt).

No other file imports the package. Its counting releases the interpreter, so that a large text is counted in a thread
without a pause for others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

ENCODING = "o200k_base"

# What the package's own Encoding adds takes 80 MB and knows no count.
_bindings = importlib.import_module("bpe_openai._bindings")


def counter() -> Callable[[str], int]:
    """Takes a tenth of a second, and some 70 MB. Text that is no Unicode raises UnicodeEncodeError."""
    count: Callable[[str], int] = _bindings.tokenizer_for_encoding(ENCODING).count
    return count
