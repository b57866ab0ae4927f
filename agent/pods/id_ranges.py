"""The range of the host's user and group ids that stands for a pod with ``hostUsers: false``.

As pkg/kubelet/userns: 65,536 ids a pod, none of them another pod's, the same after restarts of
the agent and the machine. The note in the pod's directory is all there is: it goes with it.
"""

import threading
from pathlib import Path

from agent.runtime.runtime import IdRange

NOTE = "userns"
SIZE = 65536
LAST = 2**32 // SIZE - 2


class IdRanges:
    """``root`` holds the pods' directories. Blocking, but only small local files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def get(self, pod_uid: str) -> IdRange:
        """The pod's range; a free one at first."""
        note = self._root / pod_uid / NOTE
        with self._lock:
            own = _read(note)
            if own is None:
                taken = {_read(path) for path in self._root.glob(f"*/{NOTE}")}
                own = next(n for n in range(1, LAST) if n * SIZE not in taken) * SIZE
                note.parent.mkdir(parents=True, exist_ok=True)
                note.write_text(str(own))
        return IdRange(first=own, size=SIZE)


def _read(note: Path) -> int | None:
    try:
        return int(note.read_text())
    except (OSError, ValueError):
        return None
