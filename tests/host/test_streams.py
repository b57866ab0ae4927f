"""exec, cp, port-forward and logs on real Podman, with real kubectls of three generations."""

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import port_load
from tests.support.images import BUSYBOX
from tests.support.real_cluster import ROOT, RealCluster, real_cluster
from tests.support.testbed import missing_need

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]
IDLE = "trap exit TERM; while :; do sleep 0.1; done"
ECHO = f"nc -ll -p 9000 -e cat & {IDLE}"
CLIENTS = ("kubectl", "kubectl-1.27", "kubectl-1.20")
LOG_SIZE, LOG_FILES = 1024 * 1024, 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    limits = {"container_log_max_size": "1Mi", "container_log_max_files": str(LOG_FILES)}
    with real_cluster(tmp_path_factory.mktemp("streams"), nodes=1, prepare=lambda _: limits) as up:
        make(up, "web", ECHO)
        yield up


def make(
    cluster: RealCluster,
    name: str,
    script: str,
    *,
    wait: bool = True,
    stdin: bool = False,
    **spec: Any,
) -> None:
    command = ["sh", "-c", script]
    container = {"name": "main", "image": BUSYBOX, "command": command, "stdin": stdin}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    if wait:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def by(cluster: RealCluster, client: str, *argv: str) -> list[str | Path]:
    command = cluster._kubectl(*argv)
    if client != "kubectl":
        command[2] = ROOT / ".venv/clients" / client
    return command


@pytest.mark.parametrize("client", CLIENTS)
def test_a_command_ends_with_its_code_and_its_signal(cluster: RealCluster, client: str) -> None:
    def code(*command: str, **how: Any) -> tuple[int, str]:
        argv = by(cluster, client, "exec", "-i", "web", "--", *command)
        done = cluster.bed.server.run(*argv, capture_output=True, check=False, timeout=30, **how)
        return done.returncode, done.stdout

    assert code("sh", "-c", "cat; exit 3", input="said\n") == (3, "said\n")
    assert code("sh", "-c", "kill -9 $$", input="")[0] == 137
    assert code("no-such-program", input="")[0] == 127


@pytest.mark.parametrize("client", CLIENTS)
def test_a_terminal_has_its_size_and_learns_of_another(cluster: RealCluster, client: str) -> None:
    ours, theirs = pty.openpty()
    resize(ours, 33, 77)
    argv = by(cluster, client, "exec", "-it", "web", "--", "sh")
    process = cluster.bed.server.popen(*argv, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        converse(ours, b"stty size\n", b"33 77")
        resize(ours, 44, 88)
        os.kill(cluster.bed.server.inner(process), signal.SIGWINCH)
        converse(ours, b"stty size\n", b"44 88")
        os.write(ours, b"exit 3\n")
        assert process.wait(20) == 3
    finally:
        cluster.end(process)
        os.close(ours)


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def converse(terminal: int, line: bytes, answer: bytes) -> None:
    """Says the line again until the answer comes: a resize takes a moment."""
    seen, deadline = b"", time.monotonic() + 20
    while answer not in seen:
        assert time.monotonic() < deadline, seen
        os.write(terminal, line)
        while select.select([terminal], [], [], 0.3)[0]:
            seen += os.read(terminal, 4096)


def test_nothing_is_left_of_commands_whose_clients_are_gone(cluster: RealCluster) -> None:
    node = cluster.bed.nodes[0]

    def processes(text: str) -> int:
        done = node.run("ps", "-eo", "args", capture_output=True)
        return sum(text in line for line in done.stdout.splitlines())

    conmons = processes("conmon --api-version")
    commands = (
        ["sleep", "7777"],
        ["sh", "-c", "sleep 7777; true"],
        ["sh", "-c", "sleep 7777 | cat"],
    )
    clients = [
        cluster.kubectl_process("exec", "-i", "web", "--", *command, stdin=subprocess.PIPE)
        for command in commands
    ]
    cluster.wait("the commands run", lambda: processes("sleep 7777") >= 5)
    for client in clients:
        cluster.end(client)
    cluster.wait("the commands end", lambda: processes("sleep 7777") == 0, 10)
    cluster.wait("so does Podman's side", lambda: processes("conmon --api-version") <= conmons, 15)


def test_files_are_copied_both_ways(cluster: RealCluster, tmp_path: Path) -> None:
    there, back = tmp_path / "tree", tmp_path / "back"
    (there / "many").mkdir(parents=True)
    (there / "large").write_bytes(os.urandom(1024 * 1024) * 20)
    for number in range(500):
        (there / "many" / str(number)).write_text(f"file {number}\n" * 10)
    cluster.kubectl("cp", str(there), "web:/tmp/tree", timeout=60)
    cluster.kubectl("cp", "web:/tmp/tree", str(back), timeout=60)
    assert digests(back) == digests(there)


def digests(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tree.rglob("*")
        if path.is_file()
    }


@contextlib.contextmanager
def forwarding(
    cluster: RealCluster, client: str = "kubectl", what: str = "pod/web"
) -> Iterator[str]:
    """The local port."""
    argv = by(cluster, client, "port-forward", what, ":9000")
    process = cluster.bed.server.popen(*argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+) -> ", line)
        assert found, line
        yield found[1]
    finally:
        cluster.end(process)


def load(cluster: RealCluster, port: str, connections: int, size: int, *more: str) -> str:
    done = cluster.bed.server.run(
        sys.executable, port_load.__file__, port, str(connections), str(size), *more,
        capture_output=True, check=False, timeout=90,
    )  # fmt: skip
    return str(done.stdout + done.stderr).strip()


@pytest.mark.parametrize("client", CLIENTS)
def test_large_transfers_through_a_port_are_whole(cluster: RealCluster, client: str) -> None:
    with forwarding(cluster, client) as port:
        assert load(cluster, port, 2, 20_000_000) == "2 of 2"


def test_hundreds_of_connections_through_one_port(cluster: RealCluster) -> None:
    with forwarding(cluster) as port:
        assert load(cluster, port, 300, 20_000) == "300 of 300"


def test_who_does_not_read_holds_up_no_other_client(cluster: RealCluster) -> None:
    with forwarding(cluster) as slow, forwarding(cluster, "kubectl-1.27") as port:
        argv = [sys.executable, port_load.__file__, slow, "0", "0", "lazy"]
        lazy = cluster.bed.server.popen(*argv)
        try:
            assert load(cluster, port, 20, 200_000) == "20 of 20"
        finally:
            cluster.end(lazy)


def log_bytes(cluster: RealCluster, pod: str) -> int:
    """On the node's disk, of all files of all its containers; links count once."""
    files = (cluster.bed.nodes[0].dir / "var/log/pods").glob(f"default_{pod}_*/*/*")
    return sum({f.stat().st_ino: f.stat().st_size for f in files}.values())


def test_a_fast_writers_log_is_bounded_and_has_no_gap(cluster: RealCluster) -> None:
    make(cluster, "fast", f"seq 1 300000; echo done; {IDLE}")
    cluster.wait("all is written", lambda: "done" in cluster.kubectl("logs", "fast", "--tail=1"))
    lines = cluster.kubectl("logs", "fast").splitlines()
    assert lines.pop() == "done"
    numbers = [int(line) for line in lines]
    assert numbers == list(range(numbers[0], 300_001))
    assert len(numbers) > (LOG_FILES - 2) * LOG_SIZE / 64
    assert log_bytes(cluster, "fast") <= LOG_FILES * (LOG_SIZE + 65536)


def test_a_follower_sees_every_line_over_many_files(cluster: RealCluster) -> None:
    script = "for n in $(seq 0 49); do seq $((n * 2000 + 1)) $((n * 2000 + 2000)); sleep 0.02; done"
    make(cluster, "followed", f"sleep 1; {script}", restartPolicy="Never")
    said = cluster.kubectl("logs", "-f", "followed", timeout=60)
    assert said.splitlines() == [str(n) for n in range(1, 100_001)]


def test_the_log_of_the_attempt_before_is_kept(cluster: RealCluster) -> None:
    make(cluster, "again", "echo attempt; exit 1", wait=False)
    cluster.wait(
        "a second attempt",
        lambda: (
            "true"
            in cluster.kubectl(
                "get",
                "pod",
                "again",
                "-o",
                "jsonpath={range .status.containerStatuses[?(@.restartCount>0)]}true{end}",
            )
        ),
    )
    assert cluster.kubectl("logs", "again", "--previous") == "attempt\n"


def test_input_stays_open_for_who_attaches_next(cluster: RealCluster) -> None:
    make(cluster, "talk", f"while read x; do echo got $x; done; echo end; {IDLE}", stdin=True)
    for said in ("one", "two"):
        client = cluster.kubectl_process("attach", "-i", "talk", stdin=subprocess.PIPE, text=True)
        assert client.stdin is not None
        try:
            client.stdin.write(f"{said}\n")
            client.stdin.flush()
            told = f"got {said}"
            cluster.wait(told, lambda t=told: t in cluster.kubectl("logs", "talk"), 15)
        finally:
            cluster.end(client)
    assert "end" not in cluster.kubectl("logs", "talk")


def test_a_program_is_run_with_this_shells_input(cluster: RealCluster) -> None:
    said = cluster.kubectl(
        "run", "once", "-i", "--rm", "--quiet", "--restart=Never", "--image", BUSYBOX,
        "--command", "--", "sh", "-c", "cat; echo end", stdin="hello\n",
    )  # fmt: skip
    assert said.startswith("hello\nend\n")
