"""Tokens to a tree, with Go's error messages. Source: Go text/template/parse, parse.go."""

from __future__ import annotations

from collections.abc import Collection

from alerter.template import nodes
from alerter.template.lexer import Kind, Token
from alerter.template.pipelines import PipelineParser
from alerter.template.quoting import quote, unquote
from alerter.template.stream import Stream


def parse_tree(name: str, text: str, functions: Collection[str], variables: Collection[str]) -> nodes.Tree:
    """The tree of a template that may call these functions and starts with these variables. Raises TemplateError."""
    stream = Stream(name, text)
    defined: dict[str, nodes.List] = {}
    parser = _Parser(stream, functions, defined)
    parser.variables += variables
    root = parser.parse()
    return nodes.Tree(root, defined)


class _Ending(nodes.Node):
    """`{{end}}` or `{{else}}`: never in a tree. `word` says which."""

    __slots__ = ("word",)

    def __init__(self, at: int, word: str) -> None:
        super().__init__(at)
        object.__setattr__(self, "word", word)

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


class _Parser(PipelineParser):
    """Parses one template: the text itself, or what a `define` or `block` in it defines."""

    def __init__(self, stream: Stream, functions: Collection[str], defined: dict[str, nodes.List]) -> None:
        super().__init__(stream, functions)
        self.defined = defined
        self.ranges = 0

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
