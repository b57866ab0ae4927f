"""Conmon, which holds each container while nobody of ours runs: how Podman is made to start it.

Podman starts what ``wrapper`` gives, a shell script that puts right what Podman cannot be told,
and becomes conmon.

On cgroup v2 that script goes to a cgroup of all conmons. Left alone they would stay in the cgroup
of edgek's unit, where systemd complains of them at each restart. Podman's own way is a cgroup
below the pod's, with the container's limits: Podman's ``cleanup``, which conmon runs when a
container ends and which takes 40 MB, would then use up what is meant for the pod.

``cleanup`` runs one at a time, by flock(1): after a few hundred commands, or at the end of many
containers at once, as many of them would fill a small machine's memory.
"""

from pathlib import Path

from agent.runtime.machine import CGROUP, Machine
from agent.runtime.spec import STDIN_OPEN

LOCK_SECONDS = 300

# Podman 4.3 starts conmon in its own directory and looks for conmon's note of an OOM kill in the
# container's (containers/conmon issue 504): start it where Podman will look.
# And it cannot be told to leave a container's input open for who attaches next (not stdinOnce).
# Who waits for cleanup's lock gives up in the end: what holds it may hang, as unmounting can.
_WRAPPER = """#!/bin/sh
{move}prev= open=
for arg do
    shift
    [ "$prev" = -b ] && {{ cd "$arg" || :; }}
    [ "$arg" = -i ] && grep -qs {stdin_open} config.json && open=--leave-stdin-open
    [ "$prev" = --exit-command ] && set -- "$@" {in_turn}
    set -- "$@" "$arg"
    prev=$arg
done
exec {conmon} $open "$@"
"""
_MOVE = "{{ echo 0 >{procs}; }} 2>/dev/null\n"
"""0 is the writer itself. One that cannot move stays where it is."""


def cgroup_of_conmons(machine: Machine, root: str) -> Path | None:
    """None where Podman does as it likes: v1, with a tree for each controller."""
    return CGROUP / root.strip("/") / "conmon" if machine.cgroup_v2 else None


def wrapper(conmon: str, *, cgroup: Path | None, flock: str = "", lock: Path = Path("/")) -> str:
    """The script. Without ``flock`` cleanups do not wait for each other. Pure."""
    move = "" if cgroup is None else _MOVE.format(procs=cgroup / "cgroup.procs")
    words = (flock, "-o", "-w", str(LOCK_SECONDS), str(lock)) if flock else ()
    in_turn = "".join(f"{word} --exit-command-arg " for word in words)
    return _WRAPPER.format(move=move, conmon=conmon, stdin_open=STDIN_OPEN, in_turn=in_turn)


def environment(*, cgroup: Path | None) -> dict[str, str]:
    """For Podman: who is started by systemd, which it tells by this name, leaves conmon alone
    (libpod/oci_conmon_linux.go, moveConmonToCgroupAndSignal)."""
    return {} if cgroup is None else {"INVOCATION_ID": "edgek"}
