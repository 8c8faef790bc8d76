"""requests without the library that guesses the encoding of texts: two megabytes for what is never asked here.

Answers are read as bytes and decoded as UTF-8. requests works without a guesser, and warns that it has none.
"""

from __future__ import annotations

import importlib
import sys
import warnings

_GUESSERS = ("charset_normalizer", "chardet")


def _load() -> None:
    """Import requests. Whoever wants a guesser later can still import it."""
    if "requests" in sys.modules:
        return
    hidden = [name for name in _GUESSERS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python marks a module that cannot be imported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("requests")
    finally:
        for name in hidden:
            del sys.modules[name]


_load()

import requests  # noqa: E402

__all__ = ["requests"]
