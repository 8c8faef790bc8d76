"""Tokens to a tree, with Go's error messages. Source: Go text/template/parse, parse.go."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from alerter.template import nodes
from alerter.template.errors import TemplateError
from alerter.template.lexer import Kind, Token, tokens
from alerter.template.numbers import number
from alerter.template.quoting import quote, unquote, unquote_char

MAX_DEPTH = 50
"""How deep parentheses and blocks may stand in one another."""

_OPERANDS = frozenset(
    {
        *(Kind.BOOL, Kind.CHAR_CONSTANT, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER, Kind.NIL),
        *(Kind.RAW_STRING, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PAREN),
    }
)
_NOT_EXECUTABLE = (nodes.Bool, nodes.Dot, nodes.Nil, nodes.Number, nodes.String)


def parse_tree(name: str, text: str, functions: Collection[str]) -> nodes.Tree:
    """The tree of a template called `name` that may call these functions. Raises TemplateError."""
    stream = _Stream(name, text)
    defined: dict[str, nodes.List] = {}
    root = _Parser(stream, functions, defined).parse()
    return nodes.Tree(root, defined)


class _Stream:
    """Tokens with as much pushed back as needed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._tokens: Iterator[Token] = tokens(text)
        self._pushed: list[Token] = []
        self._last = Token(Kind.TEXT, 0, "", 1)

    def next(self) -> Token:
        if self._pushed:
            return self._pushed.pop()
        self._last = next(self._tokens, self._last)
        return self._last

    def push(self, *back: Token) -> None:
        """Give tokens back; the last given is the first to be had again."""
        self._pushed.extend(back)

    def peek(self) -> Token:
        token = self.next()
        self.push(token)
        return token

    def next_word(self) -> Token:
        """The next token that is not space."""
        while (token := self.next()).kind is Kind.SPACE:
            pass
        return token

    def peek_word(self) -> Token:
        token = self.next_word()
        self.push(token)
        return token

    def failure(self, message: str) -> TemplateError:
        """The error that blames the line that was read last."""
        return TemplateError(f"template: {self.name}:{self._last.line}: {message}", self._last.line)


class _Ending(nodes.Node):
    """`{{end}}` or `{{else}}`: never in a tree. `word` says which."""

    __slots__ = ("word",)

    def __init__(self, at: int, word: str) -> None:
        super().__init__(at)
        object.__setattr__(self, "word", word)

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


class _Parser:
    """Parses one template: the text itself, or what a `define` or `block` in it defines."""

    def __init__(self, stream: _Stream, functions: Collection[str], defined: dict[str, nodes.List]) -> None:
        self.stream = stream
        self.functions = functions
        self.defined = defined
        self.variables = ["$"]
        self.action_line = 0
        self.ranges = 0
        self.depth = 0

    def parse(self) -> nodes.List:
        """The whole text."""
        found: list[nodes.Node] = []
        at = self.stream.peek().at
        while (token := self.stream.next()).kind is not Kind.EOF:
            if token.kind is Kind.LEFT and self.stream.peek_word().text == "define":
                self.stream.next_word()
                self.child().definition()
                continue
            self.stream.push(token)
            node = self.text_or_action()
            if isinstance(node, _Ending):
                raise self.stream.failure(f"unexpected {node}")
            found.append(node)
        return nodes.List(at, tuple(found))

    def child(self) -> _Parser:
        """A parser for a template within this one; it sees none of its variables."""
        child = _Parser(self.stream, self.functions, self.defined)
        child.depth = self.depth
        return child

    def definition(self) -> None:
        context = "define clause"
        token = self.stream.next_word()
        name = self.template_name(token, context)
        if (token := self.stream.next_word()).kind is not Kind.RIGHT:
            raise self.unexpected(token, context)
        self.define(name, context)

    def define(self, name: str, context: str) -> None:
        """The body up to `{{end}}` becomes the template `name`; an empty one never replaces another."""
        body, end = self.item_list()
        if end.word != "end":
            raise self.stream.failure(f"unexpected {end} in {context}")
        known = self.defined.get(name)
        if known is None or nodes.is_empty(known):
            self.defined[name] = body
        elif not nodes.is_empty(body):
            raise self.stream.failure(f"template: multiple definition of template {quote(name)}")

    def item_list(self) -> tuple[nodes.List, _Ending]:
        found: list[nodes.Node] = []
        at = self.stream.peek_word().at
        while self.stream.peek_word().kind is not Kind.EOF:
            node = self.text_or_action()
            if isinstance(node, _Ending):
                return nodes.List(at, tuple(found)), node
            found.append(node)
        raise self.stream.failure("unexpected EOF")

    def text_or_action(self) -> nodes.Node:
        token = self.stream.next_word()
        if token.kind is Kind.TEXT:
            return nodes.Text(token.at, token.text)
        if token.kind is not Kind.LEFT:
            raise self.unexpected(token, "input")
        self.action_line = token.line
        node = self.action()
        self.action_line = 0
        return node

    def action(self) -> nodes.Node:
        token = self.stream.next_word()
        if token.kind is Kind.KEYWORD:
            return self.keyword(token)
        self.stream.push(token)
        return nodes.Action(token.at, self.pipeline("command", Kind.RIGHT))

    def keyword(self, token: Token) -> nodes.Node:
        match token.text:
            case "if" | "with" | "range":
                return self.branch(token.text)
            case "break" | "continue":
                return self.jump(token)
            case "else":
                return self.otherwise()
            case "end":
                closing = self.stream.next_word()
                if closing.kind is not Kind.RIGHT:
                    raise self.unexpected(closing, "end")
                return _Ending(closing.at, "end")
            case "template":
                return self.invocation()
            case "block":
                return self.block()
        self.stream.push(token)
        return nodes.Action(token.at, self.pipeline("command", Kind.RIGHT))

    def jump(self, token: Token) -> nodes.Node:
        closing = self.stream.next_word()
        if closing.kind is not Kind.RIGHT:
            raise self.unexpected(closing, f"{{{{{token.text}}}}}")
        if not self.ranges:
            raise self.stream.failure(f"{{{{{token.text}}}}} outside {{{{range}}}}")
        return nodes.Jump(token.at, token.text)

    def branch(self, word: str) -> nodes.Branch:
        self.deeper("max nesting of actions exceeded")
        known = len(self.variables)
        pipe = self.pipeline(word, Kind.RIGHT)
        self.ranges += word == "range"
        body, ending = self.item_list()
        self.ranges -= word == "range"
        other = self.else_list(word, ending) if ending.word == "else" else None
        del self.variables[known:]
        self.depth -= 1
        return nodes.Branch(pipe.at, word, pipe, body, other)

    def deeper(self, message: str) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.stream.failure(message)

    def else_list(self, word: str, ending: _Ending) -> nodes.List:
        """What follows `else`. In `{{else if b}}` the branch takes the one `{{end}}` for both."""
        following = self.stream.peek()
        if following.kind is Kind.KEYWORD and following.text == word and word in ("if", "with"):
            self.stream.next()
            return nodes.List(ending.at, (self.branch(word),))
        body, ending = self.item_list()
        if ending.word != "end":
            raise self.stream.failure(f"expected end; found {ending}")
        return body

    def otherwise(self) -> _Ending:
        following = self.stream.peek_word()
        if following.kind is Kind.KEYWORD and following.text in ("if", "with"):
            return _Ending(following.at, "else")
        token = self.stream.next_word()
        if token.kind is not Kind.RIGHT:
            raise self.unexpected(token, "else")
        return _Ending(token.at, "else")

    def invocation(self) -> nodes.Invocation:
        context = "template clause"
        token = self.stream.next_word()
        name = self.template_name(token, context)
        pipe = None
        if (closing := self.stream.next_word()).kind is not Kind.RIGHT:
            self.stream.push(closing)
            pipe = self.pipeline(context, Kind.RIGHT)
        return nodes.Invocation(token.at, quote(name), name, pipe)

    def block(self) -> nodes.Invocation:
        context = "block clause"
        token = self.stream.next_word()
        name = self.template_name(token, context)
        pipe = self.pipeline(context, Kind.RIGHT)
        child = self.child()
        child.deeper("max nesting of actions exceeded")
        child.define(name, context)
        return nodes.Invocation(token.at, quote(name), name, pipe)

    def template_name(self, token: Token, context: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            raise self.unexpected(token, context)
        name = unquote(token.text)
        if name is None:
            raise self.stream.failure("invalid syntax")
        return name

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
                    raise self.stream.failure(f"function {quote(text)} not defined")
                return nodes.Identifier(at, text)
            case Kind.DOT:
                return nodes.Dot(at)
            case Kind.NIL:
                return nodes.Nil(at)
            case Kind.VARIABLE:
                if text not in self.variables:
                    raise self.stream.failure(f"undefined variable {quote(text)}")
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
            return self.stream.failure(f"unexpected {token} in {context}")
        where = ""
        if self.action_line and self.action_line != token.line:
            where = f" in action started at {self.stream.name}:{self.action_line}"
            where = where.removeprefix(" in action") if str(token).endswith(" action") else where
        return self.stream.failure(f"{token}{where}")
