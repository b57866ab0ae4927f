"""A missing conntrack program is said once and stops nothing."""

import pytest

from netplug.conntrack import Conntrack, Flow


def test_a_missing_program_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    conntrack = Conntrack("no-such-program-here")
    flows = [Flow(ip="10.43.0.1", port=53, endpoint="10.42.1.5")]
    conntrack.forget([])
    assert caplog.records == []
    conntrack.forget(flows)
    conntrack.forget(flows)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
