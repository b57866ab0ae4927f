"""Commands in containers whose agent, or Podman, was killed: real processes, a made-up /proc."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.runtime.left_commands import end_left_probes, end_left_sessions

CONF = "/run/edgek/containers.conf"
CONMON = ("conmon", "-c", "x", "-e", "--exec-attach")
CRUN = ("crun", "--log-format=json", "exec", "a" * 64, "cat")
Process = subprocess.Popen[bytes]


DEAF = "trap '' HUP; echo; while :; do sleep 0.1; done"
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """A command with a session of its own, as conmon begins one."""
    started: list[Process] = []

    def one(*argv: str) -> Process:
        # Who runs the tests may ignore SIGHUP, as under nohup, and what is ignored is inherited.
        argv = argv or ("env", "--default-signal=HUP", "sh", "-c", "echo; exec sleep 1000")
        process = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()  # it is up
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def show(
    proc: Path, pid: int, argv: tuple[str, ...], *, conf: str = CONF, parent: int = 1,
    child: int | None = None,
) -> None:  # fmt: skip
    here = proc / str(pid)
    (here / f"task/{pid}").mkdir(parents=True)
    (here / "cmdline").write_text("".join(f"{word}\0" for word in argv))
    (here / "environ").write_text(f"PATH=/bin\0CONTAINERS_CONF={conf}\0")
    (here / "stat").write_text(f"{pid} (some (name) S {parent} 1 1")
    (here / f"task/{pid}/children").write_text(f"{child} " if child else "")


async def test_the_commands_of_our_sessions_are_ended_and_no_others(
    tmp_path: Path, start: Start
) -> None:
    ours, by_hand, main = start(), start(), start()
    show(tmp_path, 900001, CONMON, child=ours.pid)
    show(tmp_path, 900002, CONMON, conf="/etc/containers/containers.conf", child=by_hand.pid)
    show(tmp_path, 900003, CONMON[:-1], child=main.pid)
    assert await end_left_sessions(CONF, proc=tmp_path) == 1
    assert ours.wait(5) == -signal.SIGHUP
    assert (by_hand.poll(), main.poll()) == (None, None)


async def test_what_does_not_care_for_its_terminal_is_killed(tmp_path: Path, start: Start) -> None:
    deaf = start("sh", "-c", DEAF)
    show(tmp_path, 900001, CONMON, child=deaf.pid)
    await end_left_sessions(CONF, proc=tmp_path)
    assert deaf.wait(5) == -signal.SIGKILL


def test_probes_whose_agent_is_gone_are_ended_and_those_of_one_that_lives_are_not(
    tmp_path: Path, start: Start
) -> None:
    left, live, others = start(), start(), start()
    show(tmp_path, left.pid, CRUN)
    show(tmp_path, live.pid, CRUN, parent=4711)
    show(tmp_path, others.pid, ("crun", "exec", "a" * 64, "cat"))
    assert end_left_probes(proc=tmp_path) == 1
    assert left.wait(5) == -signal.SIGKILL
    assert (live.poll(), others.poll()) == (None, None)


async def test_nothing_left_takes_no_time(tmp_path: Path) -> None:
    show(tmp_path, 900001, ("conmon", "-c", "x"))
    assert await end_left_sessions(CONF, proc=tmp_path) == 0
    assert end_left_probes(proc=tmp_path) == 0
