"""The OOM score of programs that the agent runs."""

import subprocess
from pathlib import Path

from agent.runtime.oom import ordinary


def test_a_program_is_no_safer_than_others_though_the_agent_is(tmp_path: Path) -> None:
    own = tmp_path / "oom_score_adj"
    own.write_text("-999\n")
    inherited = ("sh", "-c", 'echo 100 >/proc/self/oom_score_adj; exec "$@"', "sh")
    said = ("cat", "/proc/self/oom_score_adj")
    assert subprocess.check_output((*inherited, *said)) == b"100\n"
    assert subprocess.check_output((*inherited, *ordinary(own), *said)) == b"0\n"


def test_where_the_agent_is_like_others_nothing_is_run_for_it(tmp_path: Path) -> None:
    own = tmp_path / "oom_score_adj"
    own.write_text("0\n")
    assert ordinary(own) == ()
    assert ordinary(tmp_path / "absent") == ()
