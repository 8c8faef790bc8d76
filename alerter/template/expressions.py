"""Pipelines to closures, run with a State and the dot. Source of the semantics: Go text/template, exec.go (Go 1.19)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from alerter.template import nodes
from alerter.template.calls import Argument, Final, call_function, field_of, literal_as, missing, validated
from alerter.template.functions import ANY, FUNCTIONS, VALUE
from alerter.template.state import State
from alerter.template.values import Value

Evaluate: TypeAlias = Callable[[State, Value], Value]


class Expressions:
    """Compiles pipelines. `scope` has (name, slot) of the variables visible at this place.

    Variables are resolved to slots when compiled: a template's frame is a list, slot 0 is `$`.
    """

    def __init__(self) -> None:
        self.scope: list[tuple[str, int]] = [("$", 0)]
        self.slots = 1

    def declared(self, name: str, assigns: bool) -> int:
        """The slot of a variable that is declared here, or assigned and so must exist; -1 if it does not."""
        if assigns:
            return next((slot for known, slot in reversed(self.scope) if known == name), -1)
        self.scope.append((name, self.slots))
        self.slots += 1
        return self.slots - 1

    def pipe(self, pipe: nodes.Pipe, *, stores: bool = True) -> Evaluate:
        """The pipeline's value, stored in its variables too."""
        run = self.commands(pipe)
        if not pipe.variables or not stores:
            return run
        name = pipe.variables[-1].names[0]
        slot = self.declared(name, pipe.assigns)

        def store(state: State, dot: Value) -> Value:
            value = run(state, dot)
            if slot < 0:
                raise state.failure(f"undefined variable: {name}")
            state.variables[slot] = value
            return value

        return store

    def commands(self, pipe: nodes.Pipe) -> Evaluate:
        first, *rest = pipe.commands
        if isinstance(first.args[0], nodes.Pipe) and len(first.args) > 1:
            return _failing(pipe, f"can't give argument to non-function {first.args[0]}")
        start = self.command(first, piped=False)

        def run_first(state: State, dot: Value) -> Value:
            return start(state, dot, missing)

        if not rest:
            return self.single(first) or run_first
        steps = [self.command(command, piped=True) for command in rest]

        def run(state: State, dot: Value) -> Value:
            value = start(state, dot, missing)
            for step in steps:
                value = step(state, dot, value)
            return value

        return run

    def single(self, command: nodes.Command) -> Evaluate | None:
        """A command that is one operand and takes no arguments."""
        if len(command.args) > 1 or isinstance(command.args[0], (nodes.Identifier, nodes.Nil)):
            return None
        return self.operand(command.args[0])

    def command(self, command: nodes.Command, *, piped: bool) -> Callable[[State, Value, Final], Value]:
        """The command's value, given what the pipeline hands it as last argument."""
        head = command.args[0]
        match head:
            case nodes.Identifier():
                return self.function(head, command, command.args[1:])
            case nodes.Field(names=names):
                return self.fields(head, lambda state, dot: dot, names, command.args[1:])
            case nodes.Chain(node=inner, names=names):
                return self.fields(head, self.operand(inner), names, command.args[1:])
            case nodes.Variable(names=names) if len(names) > 1:
                return self.fields(head, self.variable(head), names[1:], command.args[1:])
        evaluate = self.operand(head) if not isinstance(head, nodes.Nil) else _nil_command(head)
        refused = len(command.args) > 1 or piped

        def run(state: State, dot: Value, final: Final) -> Value:
            if refused:
                state.node = state.node if isinstance(head, nodes.Pipe) else head
                raise state.failure(f"can't give argument to non-function {head}")
            return evaluate(state, dot)

        return run

    def function(
        self, head: nodes.Identifier, blamed: nodes.Node, args: Sequence[nodes.Node]
    ) -> Callable[[State, Value, Final], Value]:
        arguments = [self.argument(arg) for arg in args]
        called, name = FUNCTIONS[head.name], head.name

        def run(state: State, dot: Value, final: Final) -> Value:
            state.node = head
            return call_function(state, dot, called, name, blamed, arguments, final)

        return run

    def fields(
        self, node: nodes.Node, receiver: Evaluate, names: Sequence[str], args: Sequence[nodes.Node]
    ) -> Callable[[State, Value, Final], Value]:
        """A chain of fields; the last may be a method that takes arguments."""
        arguments = [self.argument(arg) for arg in args]

        def run(state: State, dot: Value, final: Final) -> Value:
            state.node = node
            return field_of(state, dot, node, receiver(state, dot), names, arguments, final)

        return run

    def operand(self, node: nodes.Node) -> Evaluate:
        """A value without arguments."""
        match node:
            case nodes.Dot():
                return _at(node, lambda state, dot: dot)
            case nodes.Nil():
                return nil
            case nodes.Bool(value=value) | nodes.String(text=value):
                return _constant(node, value)
            case nodes.Number():
                return _number(node)
            case nodes.Pipe():
                return self.pipe(node)
            case nodes.Variable(names=(_,)):
                return self.variable(node)
            case nodes.Identifier():
                run = self.function(node, node, ())
                return lambda state, dot: run(state, dot, missing)
            case nodes.Field(names=names):
                return self.plain_fields(node, lambda state, dot: dot, names)
            case nodes.Variable(names=names):
                return self.plain_fields(node, self.variable(node), names[1:])
            case nodes.Chain(node=inner, names=names):
                return self.plain_fields(node, self.operand(inner), names)
        raise AssertionError(node)

    def plain_fields(self, node: nodes.Node, receiver: Evaluate, names: Sequence[str]) -> Evaluate:
        if isinstance(node, nodes.Chain) and isinstance(node.node, nodes.Nil):
            return _failing(node, f"indirection through explicit nil in {node}")

        def run(state: State, dot: Value) -> Value:
            state.node = node
            return field_of(state, dot, node, receiver(state, dot), names, (), missing)

        return run

    def variable(self, node: nodes.Variable) -> Evaluate:
        name = node.names[0]
        slot = self.declared(name, assigns=True)

        def run(state: State, dot: Value) -> Value:
            state.node = node
            if slot < 0:
                raise state.failure(f"undefined variable: {name}")
            return state.variables[slot]

        return run

    def argument(self, node: nodes.Node) -> Argument:
        """An argument: its value once the parameter's type is known."""
        if isinstance(node, (nodes.Bool, nodes.Number, nodes.String, nodes.Nil)):
            return _literal(node, self.operand(node))
        evaluate = self.operand(node)

        def run(state: State, dot: Value, wanted: str) -> Value:
            value = evaluate(state, dot)
            return value if wanted in (ANY, VALUE) else validated(state, value, wanted)

        return run


def _literal(node: nodes.Bool | nodes.Number | nodes.String | nodes.Nil, evaluate: Evaluate) -> Argument:
    def run(state: State, dot: Value, wanted: str) -> Value:
        state.node = node
        return evaluate(state, dot) if wanted in (ANY, VALUE) else literal_as(state, node, wanted)

    return run


def nil(state: State, dot: Value) -> Value:
    return None


def _at(node: nodes.Node, evaluate: Evaluate) -> Evaluate:
    def run(state: State, dot: Value) -> Value:
        state.node = node
        return evaluate(state, dot)

    return run


def _constant(node: nodes.Node, value: Value) -> Evaluate:
    return _at(node, lambda state, dot: value)


def _failing(node: nodes.Node, message: str) -> Evaluate:
    def run(state: State, dot: Value) -> Value:
        state.node = node
        raise state.failure(message)

    return run


def _nil_command(node: nodes.Nil) -> Evaluate:
    return _failing(node, "nil is not a command")


def _number(node: nodes.Number) -> Evaluate:
    if node.is_float_text:
        return _constant(node, node.floating)
    if node.integer is None or not -(1 << 63) <= node.integer < 1 << 63:
        return _failing(node, f"{node.text} overflows int")
    return _constant(node, node.integer)
