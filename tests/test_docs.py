"""Every command explains itself, on the terminal and on its page; every kind has its place."""

import click
import pytest

from edgek.cli.main import ROLES, VERBS
from edgek.kinds import ALL
from scripts.make_docs import ROOT, walk

COMMANDS = dict(walk(VERBS))
PAGE = (ROOT / "docs/cli.md").read_text()


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_its_words(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert command.help[0].isupper()
    without = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert without == []
    assert f"\n### {path}\n" in PAGE


def test_what_the_page_tells_of_is_there() -> None:
    """Examples on the page name commands that exist."""
    words = {line.split()[1] for line in PAGE.splitlines() if line.startswith("    edgek ")}
    assert len(words) > 8
    assert words <= {name for name, _ in VERBS} | set(ROLES)


def test_every_kind_is_listed() -> None:
    page = (ROOT / "docs/kinds.md").read_text()
    assert [k.kind for k in ALL if f"| {k.kind} |" not in page] == []
