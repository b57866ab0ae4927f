"""The OOM score of what the agent runs. Its unit keeps the agent from being killed for want of
memory, and every program would inherit that: a file server's process, a probe, a mkfs.

What the kernel would spare before all else are the agent, Podman's service and conmon alone.
Containers have scores of their own, and so has what Podman runs in them.
"""

from pathlib import Path

OWN = Path("/proc/self/oom_score_adj")
_RESET = 'echo 0 >/proc/self/oom_score_adj; exec "$@"'


def ordinary(own: Path = OWN) -> tuple[str, ...]:
    """What a command is prefixed with to be killed like others; nothing where we are so too."""
    try:
        spared = int(own.read_text()) < 0
    except (OSError, ValueError):
        return ()
    return ("sh", "-c", _RESET, "sh") if spared else ()
