"""What can go wrong with a template."""

from __future__ import annotations


class TemplateError(Exception):
    """A template cannot be parsed or rendered. The message is Go's own: `template: NAME:LINE: …`.

    `line` (from 1) and `column` (from 0, in characters) are in the text that was given to `parse`;
    None where only the whole template can be blamed.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class FunctionError(Exception):
    """A function called by a template refuses; the message follows `error calling NAME: `."""
