"""The small checks that validations are made of."""

import time

from edgek.api.validation import FieldErrors
from edgek.kinds import JOB
from edgek.kinds.checks import repeated
from tests.support.mistakes import made


def test_what_comes_again_is_found_each_time() -> None:
    assert repeated(["a", "b", "a", "c", "a"]) == {2, 4}
    assert repeated([]) == frozenset()


def test_a_long_list_is_checked_in_time_proportional_to_it() -> None:
    """Looking back from each entry took an hour for a body of 1 MB."""
    job = made(JOB)
    codes = {"operator": "In", "values": list(range(1, 100_000))}
    rules = [{"action": "FailJob", "onExitCodes": codes}]
    job["spec"]["podFailurePolicy"] = {"rules": rules}
    errors, begun = FieldErrors(), time.process_time()
    JOB.validate(job, errors)
    assert errors
    assert time.process_time() - begun < 5
