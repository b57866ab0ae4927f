"""A toleration covers the taints upstream says it does."""

import pytest

from edgek.api.taints import tolerates, untolerated

TAINT = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        pytest.param({"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}, True, id="same"),
        pytest.param({"key": "dedicated", "value": "gpu"}, True, id="any effect"),
        pytest.param({"key": "dedicated", "operator": "Exists"}, True, id="any value"),
        pytest.param({"operator": "Exists"}, True, id="anything"),
        pytest.param({"key": "dedicated"}, False, id="equal to an empty value"),
        pytest.param({"key": "dedicated", "value": "tpu"}, False, id="other value"),
        pytest.param({"key": "other", "operator": "Exists"}, False, id="other key"),
        pytest.param({"operator": "Exists", "effect": "NoExecute"}, False, id="other effect"),
        pytest.param({"key": "dedicated", "operator": "Near"}, False, id="unknown operator"),
    ],
)
def test_toleration(toleration: dict[str, str], expected: bool) -> None:
    assert tolerates(toleration, TAINT) is expected


def test_the_first_untolerated_taint_is_named_and_soft_ones_do_not_count() -> None:
    soft = {"key": "a", "effect": "PreferNoSchedule"}
    hard = {"key": "b", "effect": "NoExecute"}
    assert untolerated([soft, TAINT, hard], [{"key": "dedicated", "operator": "Exists"}]) == hard
    assert untolerated([soft], []) is None
