"""A tree to closures, run with a State and the dot. Source of the semantics: Go text/template, exec.go (Go 1.19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from alerter.template import nodes
from alerter.template.expressions import Expressions, nil
from alerter.template.printing import indirect
from alerter.template.quoting import quote
from alerter.template.state import MAX_INVOCATIONS, MAX_ROUNDS, State
from alerter.template.values import QueryResult, Value, truth

Walk: TypeAlias = Callable[[State, Value], str]
"""Writes output; returns "", or "break" or "continue" if it ended so."""
Body: TypeAlias = tuple[Walk, int]
"""A template: how to walk it, and how many variables it has."""


def compile_tree(tree: nodes.Tree, variables: Sequence[str] = ()) -> Body:
    """The text's own body, which starts with these variables in the slots after `$`.

    The templates that it defines are bound into it.
    """
    bodies: dict[str, Body] = {}
    for name, body in tree.defined.items():
        bodies[name] = _Compiler(bodies).template(body)
    compiler = _Compiler(bodies)
    for name in variables:
        compiler.declared(name, assigns=False)
    return compiler.template(tree.root)


class _Compiler(Expressions):
    """Compiles one template. `bodies` are those that it may invoke."""

    def __init__(self, bodies: Mapping[str, Body]) -> None:
        super().__init__()
        self.bodies = bodies

    def template(self, body: nodes.List) -> Body:
        walk = self.list(body)
        return walk, self.slots

    def list(self, body: nodes.List) -> Walk:
        steps = [self.node(node) for node in body.nodes]
        if len(steps) == 1:
            return steps[0]

        def walk(state: State, dot: Value) -> str:
            for step in steps:
                if ended := step(state, dot):
                    return ended
            return ""

        return walk

    def node(self, node: nodes.Node) -> Walk:
        match node:
            case nodes.Text():
                return _text(node.text)
            case nodes.Action():
                return self.action(node)
            case nodes.Branch(word="range"):
                return self.range(node)
            case nodes.Branch():
                return self.branch(node)
            case nodes.Invocation():
                return self.invocation(node)
            case nodes.Jump():
                return lambda state, dot: node.word
        raise AssertionError(node)

    def action(self, node: nodes.Action) -> Walk:
        evaluate = self.pipe(node.pipe)

        def run(state: State, dot: Value) -> str:
            evaluate(state, dot)
            return ""

        def show(state: State, dot: Value) -> str:
            value = evaluate(state, dot)
            state.write(value if type(value) is str else indirect(value))
            return ""

        return run if node.pipe.variables else show

    def branch(self, node: nodes.Branch) -> Walk:
        visible = len(self.scope)
        evaluate = self.pipe(node.pipe)
        body = self.inner(node.body)
        otherwise = self.inner(node.otherwise) if node.otherwise is not None else _nothing
        del self.scope[visible:]
        moves_dot = node.word == "with"

        def walk(state: State, dot: Value) -> str:
            value = evaluate(state, dot)
            if truth(value):
                return body(state, value if moves_dot else dot)
            return otherwise(state, dot)

        return walk

    def inner(self, body: nodes.List) -> Walk:
        """A body whose variables end with it."""
        visible = len(self.scope)
        walk = self.list(body)
        del self.scope[visible:]
        return walk

    def range(self, node: nodes.Branch) -> Walk:
        visible = len(self.scope)
        evaluate = self.pipe(node.pipe, stores=False)
        slots = [self.declared(variable.names[0], node.pipe.assigns) for variable in node.pipe.variables]
        body = self.inner(node.body)
        otherwise = self.inner(node.otherwise) if node.otherwise is not None else _nothing
        del self.scope[visible:]

        def walk(state: State, dot: Value) -> str:
            state.node = node
            value = evaluate(state, dot)
            for slot in slots:
                if slot < 0:
                    raise state.failure(f"undefined variable: {node.pipe.variables[0].names[0]}")
                state.variables[slot] = value
            pairs = _pairs(state, value)
            if not pairs:
                return otherwise(state, dot)
            for key, element in pairs:
                state.round()
                if slots:
                    state.variables[slots[-1]] = element
                    if len(slots) > 1:
                        state.variables[slots[0]] = key
                if body(state, element) == "break":
                    break
            return ""

        return walk

    def invocation(self, node: nodes.Invocation) -> Walk:
        evaluate = self.pipe(node.pipe) if node.pipe is not None else nil
        bodies = self.bodies

        def walk(state: State, dot: Value) -> str:
            state.node = node
            state.round()
            body = bodies.get(node.name)
            if body is None:
                raise state.failure(f"template {quote(node.name)} not defined")
            if state.depth == MAX_INVOCATIONS:
                raise state.failure(f"exceeded maximum template depth ({MAX_INVOCATIONS})")
            _invoke(state, node.name, body, evaluate(state, dot))
            return ""

        return walk


def _text(text: str) -> Walk:
    def walk(state: State, dot: Value) -> str:
        state.write(text)
        return ""

    return walk


def _nothing(state: State, dot: Value) -> str:
    return ""


def _pairs(state: State, value: Value) -> Sequence[tuple[Value, Value]]:
    """What a range goes over: indexes or keys, and elements."""
    if isinstance(value, dict):
        return sorted(value.items(), key=lambda pair: pair[0].encode("utf-8", "surrogateescape"))
    if isinstance(value, QueryResult):
        return list(enumerate(value))
    if value is None:
        return ()
    if type(value) is int:
        return [(i, i) for i in range(min(value, MAX_ROUNDS + 1))]
    raise state.failure(f"range can't iterate over {indirect(value)}")


def _invoke(state: State, name: str, body: Body, dot: Value) -> None:
    """Walk another template with variables of its own."""
    walk, slots = body
    variables, caller = state.variables, state.name
    state.variables, state.name = [dot, *(None for _ in range(slots - 1))], name
    state.depth += 1
    walk(state, dot)
    state.depth -= 1
    state.variables, state.name = variables, caller
