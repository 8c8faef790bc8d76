"""The parse tree. A node's text is what Go's error messages show between `<` and `>`.

Source: Go text/template/parse, node.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    """`at` is the offset in characters of what error messages point to."""

    at: int


@dataclass(frozen=True, slots=True)
class Text(Node):
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Bool(Node):
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number under every type that can hold it; None for those that cannot.

    `is_float_text` says that without a context it is a float.
    """

    text: str
    integer: int | None
    floating: float | None
    is_float_text: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String(Node):
    quoted: str
    text: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(frozen=True, slots=True)
class Nil(Node):
    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Dot(Node):
    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Field(Node):
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """`names[0]` is the variable with its `$`; the rest are fields."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """A function's name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """Fields of something that is neither a field nor a variable: `(pipeline).A.B`."""

    node: Node
    names: tuple[str, ...]

    def __str__(self) -> str:
        return _parenthesized(self.node) + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Command(Node):
    args: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(_parenthesized(arg) for arg in self.args)


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    variables: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        body = " | ".join(map(str, self.commands))
        if not self.variables:
            return body
        return f"{', '.join(map(str, self.variables))} {'=' if self.assigns else ':='} {body}"


def _parenthesized(node: Node) -> str:
    return f"({node})" if isinstance(node, Pipe) else str(node)


@dataclass(frozen=True, slots=True)
class List(Node):
    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


@dataclass(frozen=True, slots=True)
class Action(Node):
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """`if`, `with` or `range`."""

    word: str
    pipe: Pipe
    body: List
    otherwise: List | None

    def __str__(self) -> str:
        other = f"{{{{else}}}}{self.otherwise}" if self.otherwise is not None else ""
        return f"{{{{{self.word} {self.pipe}}}}}{self.body}{other}{{{{end}}}}"


@dataclass(frozen=True, slots=True)
class Jump(Node):
    """`break` or `continue`."""

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


@dataclass(frozen=True, slots=True)
class Invocation(Node):
    """`template`, or where a `block` stood."""

    quoted: str
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        argument = f" {self.pipe}" if self.pipe is not None else ""
        return f"{{{{template {self.quoted}{argument}}}}}"


@dataclass(frozen=True, slots=True)
class Tree:
    """All that one text defines. `root` is the text itself, `defined` its templates by name."""

    root: List
    defined: dict[str, List] = field(default_factory=dict)


def is_empty(node: Node) -> bool:
    """Whether the node prints nothing but space."""
    if isinstance(node, List):
        return all(map(is_empty, node.nodes))
    return isinstance(node, Text) and not node.text.strip()
