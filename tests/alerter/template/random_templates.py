"""Templates at random, of the functions and values that rules have, right and wrong."""

from __future__ import annotations

import random

_VALUES = (
    *("$value", "$labels.server", "$labels.nope", "$labels", ".Value", ".Labels.instance", ".", "$externalLabels"),
    *("1", "0", "-3", "2.5", "1e6", "0x1F", '"a"', '""', '"한글 é"', '"%d"', '"%.2f"', '"cpu"', "true", "nil", "'x'"),
    *(
        "`raw`",
        "$externalURL",
        '"1.5"',
        '"web-01:9100"',
        "1e-7",
        '(query "nothing")',
        '(first (query "sort_desc(cpu)"))',
    ),
    *('(args 1 "x")', "(toTime 1e9)", "123456789", '"a-b_c d.e"', '(index "abc" 1)', '(safeHtml "<x>")'),
)
_OF_ONE = (
    *("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "title", "toUpper"),
    *("toLower", "len", "not", "html", "js", "urlquery", "print", "println", "stripPort", "safeHtml", "first"),
    *("value", "strvalue", "graphLink", "parseDuration", 'printf "%v"', 'printf "%s"', 'printf "%.3f"'),
    *('printf "%q"', 'printf "%T"', 'printf "%+v"', 'printf "%6.2f"', 'printf "%-8s|"', 'printf "%05d"'),
    *('printf "%g"', 'label "server"', 'match "a"', 'reReplaceAll "a" "b"', "index $labels", 'eq "a"', "gt 5"),
    *("lt 2.5", "and 1", 'or ""', 'slice "abcdef"', "args", 'printf "%d %s"', 'sortByLabel "server"'),
)
_OF_TWO = ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "print", "printf", "index", "slice", "println", "html")


_PIECES = (
    *("{{", "}}", "{{-", " -}}", "if", "else", "end", "range", "with", "define", "template", "block", "break", "nil"),
    *("true", "$x", "$", "$labels", "$labels.a", ".", ".a", ".a.b", '"s"', "`r`", "'c'", "1", "2.5", "-3", "0x1", "("),
    *(
        ")",
        "|",
        ":=",
        "=",
        ",",
        " ",
        "\n",
        "print",
        "len",
        "foo",
        "/* c */",
        "{{/* c */}}",
        "text",
        "é",
        "@",
        '"u',
        "1a",
    ),
    *("..", "$x :=", "$i, $e :=", "{{end}}", "{{else}}", "{{ if .a }}", "{{ range . }}", '{{ define "t" }}', "-", "+"),
    *('{{ template "t" . }}', "{{ with $y := 1 }}", "}", "{", ":"),
)


def soup(seed: int) -> str:
    """Pieces of templates in no order, most of which no parser takes."""
    drawn = random.Random(seed)
    words = ("{{ " + " ".join(drawn.choices(_PIECES, k=drawn.randint(1, 4))) + " }}" for _ in range(9))
    parts = (drawn.choice((next(words), drawn.choice(_PIECES))) for _ in range(drawn.randint(1, 9)))
    return "".join(parts).strip(" ")


class Templates:
    """An endless supply; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def template(self, depth: int = 0) -> str:
        """One template."""
        kind = self._random.random() if depth < 3 else 0.0
        inner = self.template(depth + 1) if kind >= 0.5 else ""
        if kind < 0.5:
            return f"{self._one('x ', '', ' ', '% ')}{{{{ {self._pipeline()} }}}}"
        if kind < 0.65:
            return f"{{{{ if {self._pipeline()} }}}}{inner}{{{{ else }}}}{self.template(depth + 1)}{{{{ end }}}}"
        if kind < 0.75:
            return f"{{{{ with {self._pipeline()} }}}}{inner}[{{{{ . }}}}]{{{{ else }}}}none{{{{ end }}}}"
        if kind < 0.85:
            return f"{{{{ range $i, $e := {self._ranged()} }}}}{{{{ $i }}}}:{inner};{{{{ else }}}}none{{{{ end }}}}"
        if kind < 0.95:
            return f"{{{{ $x := {self._pipeline()} }}}}{{{{ $x }}}}{inner}{{{{ $x = 1 }}}}{{{{ $x }}}}"
        return f"a {{{{- {self._pipeline()} -}}}} b{inner}"

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _ranged(self) -> str:
        return self._one(
            "$labels", 'query "nothing"', 'query "sort_desc(cpu)"', "$externalLabels", '"text"', "nil | print"
        )

    def _pipeline(self) -> str:
        piped = "".join(f" | {self._one(*_OF_ONE)}" for _ in range(self._random.choice((0, 0, 1, 2))))
        return self._expression() + piped

    def _expression(self, depth: int = 0) -> str:
        kind = self._random.random()
        if depth > 2 or kind < 0.4:
            return self._one(*_VALUES)
        if kind < 0.7:
            return f"({self._one(*_OF_ONE)} {self._expression(depth + 1)})"
        if kind < 0.85:
            return f"({self._one(*_OF_TWO)} {self._expression(depth + 1)} {self._expression(depth + 1)})"
        return f"({self._expression(depth + 1)} | {self._one(*_OF_ONE)})"
