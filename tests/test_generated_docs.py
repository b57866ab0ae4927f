"""What the docs tell of settings and kinds is what the program has."""

from importlib.metadata import entry_points

import pytest

from edgek.roles import GROUP
from scripts import make_docs


@pytest.mark.parametrize("page", make_docs.PARTS)
def test_generated_parts_are_what_the_script_writes(page: str) -> None:
    text = (make_docs.ROOT / page).read_text()
    fresh = make_docs.fill(text, make_docs.PARTS[page])
    assert text == fresh, "run: .venv/bin/python -m scripts.make_docs"


def test_every_role_has_its_table_of_options() -> None:
    roles = {entry.name for entry in entry_points(group=GROUP)}
    assert {f"{role}-options" for role in roles} == make_docs.PARTS["docs/configuration.md"].keys()


def test_a_part_without_a_place_in_its_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for kinds"):
        make_docs.fill("# A page\n", {"kinds": make_docs.kinds})
