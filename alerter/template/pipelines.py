"""What stands within an action: pipelines of commands, parsed. Source: Go text/template/parse, parse.go."""

from __future__ import annotations

from collections.abc import Collection

from alerter.template import nodes
from alerter.template.errors import TemplateError
from alerter.template.lexer import Kind, Token
from alerter.template.numbers import number
from alerter.template.quoting import quote, unquote, unquote_char
from alerter.template.stream import Stream

MAX_DEPTH = 50
"""How deep parentheses and blocks may stand in one another."""

_OPERANDS = frozenset(
    {
        *(Kind.BOOL, Kind.CHAR_CONSTANT, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER, Kind.NIL),
        *(Kind.RAW_STRING, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PAREN),
    }
)
_NOT_EXECUTABLE = (nodes.Bool, nodes.Dot, nodes.Nil, nodes.Number, nodes.String)


class PipelineParser:
    """Parses pipelines from a stream. `variables` are the names that may be used at this place.

    `action_line` is where the action began, 0 outside of one; `depth` counts parentheses and blocks around.
    """

    def __init__(self, stream: Stream, functions: Collection[str]) -> None:
        self.stream = stream
        self.functions = functions
        self.variables = ["$"]
        self.action_line = 0
        self.depth = 0

    def deeper(self, message: str) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.stream.failure(message)

    def pipeline(self, context: str, end: Kind) -> nodes.Pipe:
        at = self.stream.peek_word().at
        variables, assigns = self.declarations(context)
        commands: list[nodes.Command] = []
        while (token := self.stream.next_word()).kind is not end:
            if token.kind not in _OPERANDS:
                raise self.unexpected(token, context)
            self.stream.push(token)
            commands.append(self.command())
        self.check(commands, context)
        return nodes.Pipe(at, tuple(variables), assigns, tuple(commands))

    def check(self, commands: list[nodes.Command], context: str) -> None:
        if not commands:
            raise self.stream.failure(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.args[0], _NOT_EXECUTABLE):
                raise self.stream.failure(f"non executable command in pipeline stage {stage}")

    def declarations(self, context: str) -> tuple[list[nodes.Variable], bool]:
        """The variables before `:=` or `=`; two of them in a range."""
        found: list[nodes.Variable] = []
        while (variable := self.stream.peek_word()).kind is Kind.VARIABLE:
            self.stream.next_word()
            after = self.stream.peek()
            operator = self.stream.next_word()
            comma = operator.kind is Kind.CHAR and operator.text == ","
            if not comma and operator.kind not in (Kind.ASSIGN, Kind.DECLARE):
                self.stream.push(operator)
                if after.kind is Kind.SPACE:
                    self.stream.push(after)
                self.stream.push(variable)
                break
            found.append(nodes.Variable(variable.at, (variable.text,)))
            self.variables.append(variable.text)
            if not comma:
                return found, operator.kind is Kind.ASSIGN
            self.second(context, len(found))
        return found, False

    def second(self, context: str, found: int) -> None:
        """Whether after a comma another variable may follow."""
        if context != "range" or found > 1:
            raise self.stream.failure(f"too many declarations in {context}")
        if self.stream.peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.RIGHT_PAREN):
            raise self.stream.failure("range can only initialize variables")

    def command(self) -> nodes.Command:
        at = self.stream.peek_word().at
        args: list[nodes.Node] = []
        while True:
            self.stream.peek_word()
            operand = self.operand()
            if operand is not None:
                args.append(operand)
            token = self.stream.next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.RIGHT_PAREN):
                self.stream.push(token)
            elif token.kind is not Kind.PIPE:
                raise self.unexpected(token, "operand")
            break
        if not args:
            raise self.stream.failure("empty command")
        return nodes.Command(at, tuple(args))

    def operand(self) -> nodes.Node | None:
        """A term with the fields after it; None where no term starts."""
        node = self.term()
        if node is None or (first := self.stream.peek()).kind is not Kind.FIELD:
            return node
        names: list[str] = []
        while self.stream.peek().kind is Kind.FIELD:
            names.append(self.stream.next().text[1:])
        if isinstance(node, nodes.Field):
            return nodes.Field(first.at, (*node.names, *names))
        if isinstance(node, nodes.Variable):
            return nodes.Variable(first.at, (*node.names, *names))
        if isinstance(node, _NOT_EXECUTABLE):
            raise self.stream.failure(f"unexpected . after term {quote(str(node))}")
        return nodes.Chain(first.at, node, tuple(names))

    def term(self) -> nodes.Node | None:
        token = self.stream.next_word()
        at, text = token.at, token.text
        match token.kind:
            case Kind.IDENTIFIER:
                if text not in self.functions:
                    raise self.stream.failure(f"function {quote(text)} not defined", token)
                return nodes.Identifier(at, text)
            case Kind.DOT:
                return nodes.Dot(at)
            case Kind.NIL:
                return nodes.Nil(at)
            case Kind.VARIABLE:
                if text not in self.variables:
                    raise self.stream.failure(f"undefined variable {quote(text)}", token)
                return nodes.Variable(at, (text,))
            case Kind.FIELD:
                return nodes.Field(at, (text[1:],))
            case Kind.BOOL:
                return nodes.Bool(at, text == "true")
            case Kind.NUMBER | Kind.CHAR_CONSTANT | Kind.STRING | Kind.RAW_STRING:
                return self.literal(token)
            case Kind.LEFT_PAREN:
                self.deeper("max expression depth exceeded")
                pipe = self.pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
                self.depth -= 1
                return pipe
        self.stream.push(token)
        return None

    def literal(self, token: Token) -> nodes.Node:
        if token.kind is Kind.NUMBER:
            found = number(token.at, token.text)
            if isinstance(found, str):
                raise self.stream.failure(found)
            return found
        if token.kind is Kind.CHAR_CONSTANT:
            char = unquote_char(token.text)
            if char is None:
                raise self.stream.failure("invalid syntax")
            if len(char) > 1:
                raise self.stream.failure(f"malformed character constant: {token.text}")
            return nodes.Number(token.at, token.text, ord(char), float(ord(char)), False)
        text = unquote(token.text)
        if text is None:
            raise self.stream.failure("invalid syntax")
        return nodes.String(token.at, token.text, text)

    def unexpected(self, token: Token, context: str) -> TemplateError:
        """The error that a token must not stand here, or what the lexer could not read."""
        if token.kind is not Kind.ERROR:
            return self.stream.failure(f"unexpected {token} in {context}", token)
        where = ""
        if self.action_line and self.action_line != token.line:
            where = f" in action started at {self.stream.name}:{self.action_line}"
            where = where.removeprefix(" in action") if str(token).endswith(" action") else where
        return self.stream.failure(f"{token}{where}", token)
