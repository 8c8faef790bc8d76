"""Jinja2 templates that make JSON: sandboxed, and every expression comes out escaped for a JSON string."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment


class TemplateProblem(ValueError):
    """A message template cannot be used. The message names the file and the place."""


class _Json(str):
    """JSON already: the filter `tojson` made it."""

    __slots__ = ()


def _finalized(value: Any) -> Any:
    if isinstance(value, (_Json, Undefined)):
        return value
    return json.dumps(str(value), ensure_ascii=False)[1:-1]


def _tojson(value: Any) -> _Json:
    return _Json(json.dumps(value, ensure_ascii=False))


class JsonTemplate:
    """A parsed template. Raises TemplateProblem if its syntax is wrong."""

    def __init__(self, source: str, name: str) -> None:
        self.name = name
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, finalize=_finalized, autoescape=False, keep_trailing_newline=False
        )
        environment.filters["tojson"] = _tojson
        try:
            self._template = environment.from_string(source)
        except TemplateError as err:
            line = getattr(err, "lineno", None)
            raise TemplateProblem(f"{name}{f':{line}' if line else ''}: {err}") from None

    def render(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that it makes. Raises TemplateProblem if it fails or makes something else."""
        try:
            text = self._template.render(context)
        except Exception as err:  # a template may call anything that its values offer
            raise TemplateProblem(f"{self.name}: {type(err).__name__}: {err}") from None
        try:
            made = json.loads(text, strict=False)
        except ValueError as err:
            raise TemplateProblem(f"{self.name}: what it makes is not JSON: {err}") from None
        if not isinstance(made, dict):
            raise TemplateProblem(f"{self.name}: what it makes is not a JSON object")
        return made
