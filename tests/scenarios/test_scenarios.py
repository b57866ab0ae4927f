"""Each scenario beside this file, told on a cluster in virtual time."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster_in_memory import cluster_in_memory
from tests.support.scenario import Session, Step, matches, parse, written

HERE = Path(__file__).parent
WRITE = bool(os.environ.get("EDGEK_TEST_WRITE_SCENARIOS"))


@pytest.fixture(params=sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def steps(request: pytest.FixtureRequest) -> Iterator[list[Step]]:
    path: Path = request.param
    found = list(parse(path.read_text()))
    yield found
    if WRITE:
        path.write_text(written(found))


@pytest.mark.looptime
async def test_a_scenario_goes_as_it_is_told(steps: list[Step]) -> None:
    assert steps
    async with cluster_in_memory() as cluster:
        session = Session(cluster=cluster)
        for step in steps:
            printed = await session.run(step)
            if WRITE and not matches(step.expected, printed):
                step.expected = printed
            assert matches(step.expected, printed), "\n".join(
                [f"$ {step.command}", "--- expected", *step.expected,
                 "--- printed", *printed]
            )  # fmt: skip


def test_a_star_stands_for_anything_in_a_line_and_dots_for_any_lines() -> None:
    assert matches(["web-* 1/1", "...", "end"], ["web-abc   1/1", "x", "y", "end"])
    assert not matches(["web-* 1/1"], ["web-abc 0/1"])
    assert not matches(["a"], ["a", "b"])
