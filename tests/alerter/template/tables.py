"""Templates to compare with the real thing: grids made here, and single ones in rendered.txt and refused.txt."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

_ARGUMENTS = (
    *("85.5", "1234567.0", "0.00001234", "-2.5", "42", "-42", '"héllo wörld"'),
    *("true", "nil", "$labels", "0", "0.0", "3.0"),
)
_FLAGS = ("", "+", "#", "010", "-10", "6.2", " ", ".3", "+.1", "08.3", "#.2", "#010")
_NUMBERS = (
    *("0", "1", "-1", "0.1", "0.00001", "123456.7", "1234567.8", "1e20", "1e21", "1e-5", "1e100", "-0.0", "0.1e1"),
    *("0x1p-2", "0x1F", "0b101", "0o17", "017", "1_000", "1_000.5", ".5", "5.", "+3", "1e3", "'a'", r"'\n'", "'한'"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "100000.0", "999999.0", "1000000.0"),
    *("123456789.0", "0.30000000000000004", "3.14159265358979", "5e-324", "1.7976931348623157e308"),
)
_FUNCTIONS = (
    *("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime"),
    *('printf "%.2f"', 'printf "%g"', "print", "parseDuration"),
)
_GIVEN = (
    *("0", "0.0", "1", "-1.5", "999.9", "1000.0", "999999.0", "1e30", "1e-30", "0.123", "0.000123", "1024.0"),
    *("1048576.0", "60.0", "3599.9", "86461.5", "-90061.0", "1e18", '"12.5"', '"abc"', '"1h"', '"NaN"', '"+Inf"'),
    *('"-Inf"', '"1e400"', "true", "nil", "$labels", "1435065584.128", "-1.5e9", "1e12", '"0x10"', '"1_000"'),
    *('" 1"', '""', "'a'"),
)
_WORDS = (
    *("hello world", "it's o'neill", "foo-bar_baz qux", "ÀÉ straße ßx", "a.b c1d 2nd", "ﬁne ǆ", "HELLO wORLD"),
    *("한글 test", "x/y(z)", "a_b", "“quoted” text", "日本 tokyo"),
)
_HOSTS = (
    *("h:80", "[::1]:80", "a:b:c", "h", "::1", "[::1]", "10.0.0.1:90", "10.0.0.1", "web.example.com:80"),
    *("web.example.com", "h:", "[fe80::1%eth0]:80", ":80", "", "[h]:80", "a]:80", "[a:80"),
)
_REGEXES = (
    ("a", "b", "banana"),
    ("a*", "X", "baac"),
    ("(a)(n)?", "<$1|$2>", "banana"),
    ("", "-", "abc"),
    ("b*", "-", "abbc"),
    ("(?P<x>.)", "${x}$x_$xy", "ab"),
    ("$", "!", r"a\nb"),
    (".", "x", r"a\nb"),
    ("(", "x", "y"),
    ("[a", "x", "y"),
    ("a**", "x", "aa"),
    (r"\\pL+", "L", "한글 abc"),
    ("a", "$0$$", "ab"),
    ("^", ">", "ab"),
    ("x{2000}", "y", "z"),
    ("*a", "", "a"),
    (r"a\\", "", "a"),
    (")", "", ""),
    ("[z-a]", "", ""),
    (r"\\8", "", ""),
    ("(?i)A", "b", "aA"),
    ("é", "e", "café"),
)


def grids() -> list[str]:
    """Each verb with each flag on each argument, and each function on each of what it may be given."""
    return [
        *(
            "".join(f'[{{{{ printf "%{flags}{verb}" {argument} }}}}]' for argument in _ARGUMENTS)
            for verb in "vdsqtfFeEgGxXobcUT"
            for flags in _FLAGS
        ),
        *(f"{{{{ {number} }}}}" for number in _NUMBERS),
        *(f"{{{{ {function} {given} }}}}" for function in _FUNCTIONS for given in _GIVEN),
        *(f'{{{{ title "{word}" }}}} {{{{ toUpper "{word}" }}}} {{{{ toLower "{word}" }}}}' for word in _WORDS),
        *(f'{{{{ html "{word}<&" }}}} {{{{ js "{word}<&=" }}}} {{{{ urlquery "{word}&=~*" }}}}' for word in _WORDS),
        *(f'{{{{ stripPort "{host}" }}}}|{{{{ stripDomain "{host}" }}}}' for host in _HOSTS),
        *(f'{{{{ reReplaceAll "{regex}" "{by}" "{text}" }}}}' for regex, by, text in _REGEXES),
        *(f'{{{{ match "{regex}" "{text}" }}}}' for regex, _, text in _REGEXES),
    ]


def of_a_value() -> list[str]:
    """What can be done to an alert's value."""
    return [
        *(f"{{{{ $value | {function} }}}}" for function in _FUNCTIONS if function != "parseDuration"),
        *(f'{{{{ $value | printf "%{flags}{verb}" }}}}' for verb in "vfeEgGxXbdsqtcU" for flags in _FLAGS),
        "{{ $value }}|{{ .Value }}|{{ if $value }}y{{ else }}n{{ end }}|{{ html $value }}|{{ len (print $value) }}",
        "{{ gt $value 0.0 }} {{ lt $value 0.0 }} {{ eq $value $value }} {{ ge $value 1.0 }} {{ le $value 1.0 }}",
    ]


def singles() -> list[str]:
    """Templates that show one thing each, errors at run time among them."""
    return _read("rendered.txt")


def refused() -> list[str]:
    """Templates of which nearly all are refused when parsed."""
    return _read("refused.txt")


def _read(name: str) -> list[str]:
    return (_HERE / name).read_text().removesuffix("\n").split("\n===\n")
