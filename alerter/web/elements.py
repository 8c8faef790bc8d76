"""What the alerter's pages are made of. No script; everything that others wrote is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from exporter.duration import format_duration
from exporter.model import Labels

_MOST_TEXT = 300
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#c62828;--warn:#b26a00;--good:#2e7d32}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--warn:#ffb74d;--good:#81c784}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:75rem;padding:1rem 1.5rem 4rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;
border-bottom:1px solid var(--line)}th{font-weight:600}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.firing,.err,.down{color:var(--bad);font-weight:600}.pending,.held{color:var(--warn);font-weight:600}
.ok,.up,.resolved{color:var(--good)}.quiet{opacity:.7}td:last-child{overflow-wrap:anywhere}
@media(max-width:45rem){thead{display:none}tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--line)}
td{display:block;border:0;padding:.1rem 0 .1rem 7rem}td:empty{display:none}body{padding:1rem}
td::before{content:attr(data-head);float:left;margin-left:-7rem;opacity:.7}}
"""


def document(title: str, body: str, refresh_s: int = 0) -> str:
    """A whole page, read anew every `refresh_s` seconds."""
    again = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{again}<style>{_STYLE}</style></head><body>"
        f"<h1>{title}</h1>{body}</body></html>"
    )


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """A table under its title, or what is said where it is empty."""
    if not rows:
        return f"<h2>{escape(title)}</h2><p class=quiet>{escape(empty)}</p>"
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    names = [escape(text) for text in heads]
    body = "".join(f"<tr>{''.join(map(_cell, names, row))}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(head: str, content: str) -> str:
    return f'<td data-head="{head}">{content.strip()}</td>'


def marked(word: str) -> str:
    """A state's word in its colour."""
    return f'<span class="{escape(word)}">{escape(word)}</span>'


def code(text: str) -> str:
    """A text as it is."""
    return f"<code>{escape(text)}</code>"


def labels(shown: Labels) -> str:
    """A label set."""
    return code(" ".join(f'{name}="{clipped(value)}"' for name, value in shown))


def clipped(text: str) -> str:
    """A text, shortened."""
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def ago(now: float, t: float) -> str:
    """How long ago a time was; both in Unix seconds."""
    return format_duration(max(0, round(now - t)) * 1_000)
