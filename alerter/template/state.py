"""What one rendering has done so far, and how it fails."""

from __future__ import annotations

from alerter.template.errors import TemplateError
from alerter.template.functions import Context
from alerter.template.nodes import Dot, Node
from alerter.template.printing import MAX_LENGTH
from alerter.template.quoting import quote, to_bytes
from alerter.template.values import Value

MAX_INVOCATIONS = 50
"""How deep templates may invoke one another."""
MAX_ROUNDS = 100_000
"""How often the bodies of ranges and templates may run in one rendering."""


PREAMBLE = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
"""What Prometheus puts before every text. Here the variables just exist, but its error messages count it."""

_START = Dot(0)


class State:
    """One rendering. `node` is what is being evaluated, for error messages; `variables` by slot."""

    __slots__ = ("context", "depth", "name", "node", "out", "root", "rounds", "size", "text", "variables")

    def __init__(self, name: str, text: str, context: Context) -> None:
        self.root = self.name = name
        self.text = text
        self.context = context
        self.node: Node = _START
        self.out: list[str] = []
        self.size = 0
        self.rounds = 0
        self.depth = 0
        self.variables: list[Value] = []

    def write(self, text: str) -> None:
        """Add to the output. Raises TemplateError when there is too much."""
        self.size += len(text)
        if self.size > MAX_LENGTH:
            raise self.failure(f"output of more than {MAX_LENGTH} characters")
        self.out.append(text)

    def round(self) -> None:
        """Count one more run of a body. Raises TemplateError when there are too many."""
        self.rounds += 1
        if self.rounds > MAX_ROUNDS:
            raise self.failure(f"more than {MAX_ROUNDS} iterations")

    def failure(self, message: str) -> TemplateError:
        """The error that blames the node."""
        before = self.text[: self.node.at]
        start = before.rfind("\n") + 1
        line = before.count("\n") + 1
        column = len(to_bytes(before[start:])) + (len(PREAMBLE) if line == 1 else 0)
        place = f"template: {self.root}:{line}:{column}: executing {quote(self.name)} at <{self.node}>"
        return TemplateError(f"{place}: {message}", line, len(before) - start)
