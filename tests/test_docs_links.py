"""What the docs point at is there: links, headings, and files of this repository named in them.

So is what module docstrings point at, which are half of the documentation.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:edgek|server|agent|netplug|scripts|tests|bench|examples|systemd|docs)/"
                   r"[\w./-]+|Makefile|\.ci/run)`")  # fmt: skip
FILE = re.compile(r"(?<![\w/.-])(?:edgek|server|agent|netplug|scripts|tests|bench)/[\w/]+\.py\b")
SOURCES = [ROOT / package for package in ("edgek", "server", "agent", "netplug", "scripts")]
FENCED = re.compile(r"^```.*?^```$", re.S | re.M)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    lines = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", line).lower().replace(" ", "-") for line in lines}


def broken(page: Path) -> Iterator[str]:
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        if not linked.exists() or (anchor and anchor not in headings(linked)):
            yield target
    for name in NAMED.findall(prose(page)):
        if not (ROOT / name).exists():
            yield name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    assert list(broken(page)) == []


def test_files_that_module_docstrings_name_are_there() -> None:
    modules = (path for top in SOURCES for path in top.rglob("*.py"))
    docs = {path: ast.get_docstring(ast.parse(path.read_text())) or "" for path in modules}
    named = {(path, name) for path, doc in docs.items() for name in FILE.findall(doc)}
    assert len(named) > 10
    assert [(path, name) for path, name in named if not (ROOT / name).exists()] == []


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    linked = {
        (ROOT / t.partition("#")[0]).resolve() for t in LINK.findall(prose(ROOT / "README.md"))
    }
    assert {page for page in PAGES if page.parent.name == "docs"} <= linked


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[a](#a-page) [b](none.md) [c](#none) `server/none.py`\n")
    assert list(broken(page)) == ["none.md", "#none", "server/none.py"]
