"""The dashboard's files: what may be loaded, how much they weigh, both languages."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from exporter.web.server import STATIC
from tests.web.site import site

MODULES = sorted(STATIC.glob("*.js"))


async def test_the_policy_allows_nothing_from_elsewhere_and_no_inline_script() -> None:
    async with site() as client, client.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_static_files_are_cached_by_their_content_and_nothing_else_is_served() -> None:
    async with site() as client:
        async with client.get("/static/app.js") as response:
            assert response.content_type == "text/javascript"
            tag = response.headers["ETag"]
        async with client.get("/static/app.js", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        for name in ("nothing.js", "..%2f__init__.py", "%2e%2e/server.py"):
            async with client.get(f"/static/{name}") as response:
                assert response.status == 404


def test_scripts_and_styles_weigh_less_than_60_kb_gzipped() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 60_000


def test_both_languages_have_the_same_words_with_the_same_gaps() -> None:
    english, korean = (STATIC / "i18n.js").read_text("utf-8").split("const KO")
    pairs = [dict(re.findall(r'(\w+): "((?:[^"\\]|\\.)*)"', part)) for part in (english, korean)]
    assert pairs[0].keys() == pairs[1].keys()
    gaps = [{key: sorted(re.findall(r"\{\d\}", text)) for key, text in part.items()} for part in pairs]
    assert gaps[0] == gaps[1]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_word_that_is_used_is_known(module: Path) -> None:
    known = set(re.findall(r'(\w+): "', (STATIC / "i18n.js").read_text("utf-8").split("const KO")[0]))
    used = set(re.findall(r'\bt\("(\w+)"', module.read_text("utf-8")))
    assert used <= known
