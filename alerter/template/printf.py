"""fmt.Sprintf: directives, explicit argument numbers, stars and errors. Source: Go fmt, print.go, doPrintf."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from alerter.template.errors import FunctionError
from alerter.template.flags import Flags
from alerter.template.printing import MAX_LENGTH, bounded, printed
from alerter.template.values import Value, type_name

_MAX_NUMBER = 1_000_000
_FAST = re.compile(r"%([-+0]*)(\d{1,3})?(\.\d{1,3})?([fesdv%])")


def sprintf(form: str, args: Sequence[Value]) -> str:
    """Sprintf. What does not fit is written into the text, as Go does: `%!d(float64=3)`."""
    simple = _simple(form)
    if simple is not None and len(simple[1]) == len(args):
        python_form, verbs = simple
        if all(_python_writes_it(verb, value) for verb, value in zip(verbs, args, strict=True)):
            return bounded(python_form % tuple(args))
    return bounded(_Printf(form, args).run())


@lru_cache(maxsize=512)
def _simple(form: str) -> tuple[str, str] | None:
    """A format that means the same to Python's `%` for values that fit its verbs, with those verbs."""
    python_form: list[str] = []
    verbs = ""
    at = 0
    while (percent := form.find("%", at)) >= 0:
        match = _FAST.match(form, percent)
        if match is None:
            return None
        flags, width, precision, verb = match.groups()
        if verb == "%" or (verb in "sv" and "0" in flags) or (verb in "dv" and precision):
            return None
        python_verb = "s" if verb == "v" else verb
        python_form += (form[at:percent], "%", flags, width or "", precision or "", python_verb)
        verbs += verb
        at = match.end()
    return "".join((*python_form, form[at:])), verbs


def _python_writes_it(verb: str, value: Value) -> bool:
    kind = type(value)
    if kind is float:
        return verb in "fe" and math.isfinite(value)
    return (kind is str and verb in "sv") or (kind is int and verb == "d")


class _Printf:
    """One run over a format with explicit argument numbers, stars and errors."""

    def __init__(self, form: str, args: Sequence[Value]) -> None:
        self.form = form
        self.args = args
        self.at = 0
        self.next_arg = 0
        self.reordered = False
        self.good = True
        self.parts: list[str] = []
        self.length = 0

    def run(self) -> str:
        while (percent := self.form.find("%", self.at)) >= 0:
            self.write(self.form[self.at : percent])
            self.at = percent + 1
            self.directive()
        self.write(self.form[self.at :])
        if not self.reordered and self.next_arg < len(self.args):
            self.write(f"%!(EXTRA {', '.join(map(_described, self.args[self.next_arg :]))})")
        return "".join(self.parts)

    def write(self, text: str) -> None:
        self.length += len(text)
        if self.length > MAX_LENGTH:
            raise FunctionError(f"text of more than {MAX_LENGTH} characters")
        self.parts.append(text)

    def peek(self) -> str:
        return self.form[self.at : self.at + 1]

    def directive(self) -> None:
        """One `%…` whose percent sign is past."""
        self.good, self.reordered = True, False
        flags = self.flags()
        indexed = self.argument_index()
        indexed = self.width(flags, indexed)
        indexed = self.precision(flags, indexed)
        if not indexed:
            self.argument_index()
        verb = self.peek()
        self.at += 1
        if not verb:
            self.write("%!(NOVERB)")
        elif verb == "%":
            self.write("%")
        elif not self.good:
            self.write(f"%!{verb}(BADINDEX)")
        elif self.next_arg >= len(self.args):
            self.write(f"%!{verb}(MISSING)")
        else:
            if verb == "v":
                flags.for_v()
            self.next_arg += 1
            self.write(printed(self.args[self.next_arg - 1], verb, flags))

    def flags(self) -> Flags:
        flags = Flags()
        while (char := self.peek()) and char in "#0+- ":
            flags.set(char)
            self.at += 1
        return flags

    def argument_index(self) -> bool:
        """Whether an explicit `[n]` was here."""
        if self.peek() != "[":
            return False
        self.reordered = True
        close = self.form.find("]", self.at)
        number = self.form[self.at + 1 : close] if close >= 0 else ""
        self.at = close + 1 if close >= 0 else self.at + 1
        if number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= len(self.args):
            self.next_arg = int(number[:9]) - 1
            return True
        self.good = False
        return close >= 0

    def number(self) -> int | None:
        start = self.at
        while self.peek().isascii() and self.peek().isdigit():
            self.at += 1
        digits = self.form[start : self.at]
        if digits and int(digits[:-1][:9] or "0") > _MAX_NUMBER:  # Go looks before it takes the next digit
            self.at = len(self.form)
            return None
        return int(digits) if digits else None

    def star(self) -> int | None:
        """The argument that a `*` takes, None unless it is a sensible int."""
        self.at += 1
        if self.next_arg >= len(self.args):
            return None
        value = self.args[self.next_arg]
        self.next_arg += 1
        return int(value) if type(value) is int and abs(value) <= _MAX_NUMBER else None

    def width(self, flags: Flags, indexed: bool) -> bool:
        if self.peek() != "*":
            flags.width = self.number()
            if indexed and flags.width is not None:
                self.good = False
            return indexed
        flags.width = self.star()
        if flags.width is None:
            self.write("%!(BADWIDTH)")
        elif flags.width < 0:
            flags.width, flags.minus, flags.zero = -flags.width, True, False
        return False

    def precision(self, flags: Flags, indexed: bool) -> bool:
        if self.peek() != ".":
            return indexed
        self.at += 1
        if indexed:
            self.good = False
        indexed = self.argument_index()
        if self.peek() != "*":
            flags.precision = self.number() or 0
            return indexed
        flags.precision = self.star()
        if flags.precision is not None and flags.precision < 0:
            flags.precision = None
        if flags.precision is None:
            self.write("%!(BADPREC)")
        return False


def _described(value: Value) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={printed(value, 'v', Flags())}"
