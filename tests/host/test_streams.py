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

from tests.support import many_streams, port_load
from tests.support.images import BUSYBOX
from tests.support.kubectl_pods import apply, container, ready
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


def test_fifty_megabytes_pass_through_a_command_both_ways(
    cluster: RealCluster, tmp_path: Path
) -> None:
    data = os.urandom(1 << 20) * 50
    (tmp_path / "sent").write_bytes(data)
    with (tmp_path / "sent").open("rb") as sent:
        argv = cluster._kubectl("exec", "-i", "web", "--", "cat")
        done = cluster.bed.server.run(
            *argv, stdin=sent, capture_output=True, text=False, timeout=60
        )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_hundreds_of_commands_and_logs_are_open_at_once(cluster: RealCluster) -> None:
    make(cluster, "crowded", f"echo ready; {IDLE}")
    done = cluster.bed.server.run(
        sys.executable, many_streams.__file__, "crowded", "40", "220",
        capture_output=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.stdout == "40 220\n", done.stderr[-2000:]


def memory(cluster: RealCluster) -> dict[str, int]:
    """MiB of the server and the agent."""
    return {
        space.name: next(
            int(line.split()[1]) // 1024
            for line in Path(f"/proc/{space.inner(process)}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )
        for space, process in (
            (space, cluster.processes[space.name])
            for space in (cluster.bed.server, cluster.bed.nodes[0])
        )
    }


def test_who_does_not_read_costs_little_memory(cluster: RealCluster) -> None:
    """Each could be sent tens of megabytes a second."""
    make(cluster, "chatty", f"yes 'a line like those of logs' | head -c 3000000; {IDLE}")
    wordy = "for n in 1 2 3 4 5 6 7 8; do yes 'and one of many'; done"
    make(cluster, "endless", wordy)
    before = memory(cluster)
    lazy = [
        cluster.kubectl_process(*argv, stdout=subprocess.PIPE)
        for argv in (
            ("exec", "web", "--", "cat", "/dev/zero"), ("logs", "chatty"),
            ("logs", "-f", "endless"), ("attach", "endless"),
        ) * 2
    ]  # fmt: skip
    try:
        for client in lazy:
            assert client.stdout is not None
            assert client.stdout.read(100000)
        assert "hi" in cluster.kubectl("exec", "web", "--", "sh", "-c", "sleep 2; echo hi")
        more = {name: size - before[name] for name, size in memory(cluster).items()}
    finally:
        for client in lazy:
            cluster.end(client)
        cluster.kubectl("delete", "pod", "endless", "--now", "--wait=false")
    assert max(more.values()) < 30, more


def test_files_are_copied_both_ways(cluster: RealCluster, tmp_path: Path) -> None:
    there, back = tmp_path / "tree", tmp_path / "back"
    (there / "many").mkdir(parents=True)
    (there / "large").write_bytes(os.urandom(1024 * 1024) * 20)
    for number in range(500):
        (there / "many" / str(number)).write_text(f"file {number}\n" * 10)
    (there / "link").symlink_to("many/7")
    cluster.kubectl("cp", str(there), "web:/tmp/tree", timeout=60)
    assert cluster.kubectl("exec", "web", "--", "readlink", "/tmp/tree/link") == "many/7\n"
    cluster.kubectl("cp", "web:/tmp/tree", str(back), timeout=60)
    (there / "link").unlink()  # kubectl leaves links behind on the way back, and says so
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
    count = "n=$(cat /v/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > /v/n; echo attempt $n"
    apply(
        cluster, "again",
        container(f"{count}; [ $n -gt 2 ] && sleep 999; exit 1",
                  volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "emptyDir": {}}],
    )  # fmt: skip
    cluster.wait("a third", lambda: cluster._try("logs", "again") == "attempt 3\n")
    assert cluster.kubectl("logs", "again", "--previous") == "attempt 2\n"


def test_logs_are_chosen_by_container_time_and_length(cluster: RealCluster) -> None:
    apply(
        cluster, "many",
        container("echo one; echo two; sleep 2; echo late", "a"),
        container("echo b >&2; while :; do sleep 0.1; done", "b"),
        initContainers=[container("echo begun", "first"),
                        container(f"echo side; {IDLE}", "side", restartPolicy="Always")],
        restartPolicy="Never",
    )  # fmt: skip
    shown = lambda *argv: cluster.kubectl("logs", "many", *argv).splitlines()  # noqa: E731
    cluster.wait("all is said", lambda: "late" in cluster._try("logs", "many", "-c", "a"))
    assert shown("-c", "first") == ["begun"]
    assert sorted(shown("--all-containers", "--prefix")) == [
        "[pod/many/a] late", "[pod/many/a] one", "[pod/many/a] two", "[pod/many/b] b",
        "[pod/many/first] begun", "[pod/many/side] side",
    ]  # fmt: skip
    assert shown() == ["one", "two", "late"]  # the first container, and a word about it on stderr
    assert shown("-c", "a", "--tail=2") == ["two", "late"]
    assert shown("-c", "a", "--limit-bytes=5") == ["one", "t"]
    stamps = [line.split()[0] for line in shown("-c", "a", "--timestamps")]
    assert shown("-c", "a", f"--since-time={stamps[2]}") == ["late"]
    assert shown("-c", "a", "--since=1h", "--tail=1") == ["late"]
    text = cluster.kubectl("logs", "many", "-c", "b", "--previous", ok=False)
    assert 'previous terminated container "b" in pod "many" not found' in text


def test_a_follower_hears_the_last_words_of_a_pod_that_is_deleted(cluster: RealCluster) -> None:
    script = (
        "trap 'echo told; sleep 0.5; echo last; exit' TERM; echo up; while :; do sleep .1; done"
    )
    apply(cluster, "leaving", container(script), terminationGracePeriodSeconds=10)
    ready(cluster, "leaving")
    follower = cluster.kubectl_process("logs", "-f", "leaving", stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "up\n"
    cluster.kubectl("delete", "pod", "leaving", "--wait=false")
    assert follower.communicate(timeout=20)[0] == "told\nlast\n"
    assert follower.returncode == 0


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
