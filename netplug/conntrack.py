"""Forgets UDP flows to endpoints that are gone.

TCP notices by itself; a UDP client that keeps sending would hit the dead address for as long as
its flow is remembered. The ``conntrack`` program does it in 3 ms; netlink from Python needs half
a millisecond for each of maybe 100,000 entries. Where the program is missing, that is said once.
"""

import logging
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

log = logging.getLogger(__name__)

_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True)
class Flow:
    """UDP flows to ``port`` (of ``ip``, "" for any) that were led to ``endpoint``."""

    ip: str
    port: int
    endpoint: str


class Conntrack:
    def __init__(self, program: str = "conntrack") -> None:
        self._program = program
        self._missing_said = False

    def forget(self, flows: Iterable[Flow]) -> None:
        for flow in flows:
            if shutil.which(self._program) is None:
                self._say_missing()
                return
            self._delete(flow)

    def _delete(self, flow: Flow) -> None:
        argv = [self._program, "-D", "-p", "udp", "--orig-port-dst", str(flow.port)]
        argv += ["--reply-src", flow.endpoint]
        argv += ["--orig-dst", flow.ip] if flow.ip else []
        try:
            # Exit code 1 only says that there was none.
            subprocess.run(argv, capture_output=True, timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as err:
            log.warning("cannot forget UDP flows endpoint=%s error=%s", flow.endpoint, err)

    def _say_missing(self) -> None:
        if not self._missing_said:
            self._missing_said = True
            log.warning(
                "the conntrack program is not installed: UDP clients of removed endpoints "
                "move on only when their flows time out"
            )
