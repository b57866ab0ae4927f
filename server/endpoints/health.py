"""/livez, /readyz, /healthz and /version: open to everybody (system:public-info-viewer)."""

import platform
from collections.abc import Callable

from edgek import __version__
from edgek.api import errors
from server.request.model import Request, Response

KUBERNETES = "v1.37.0"
"""The Kubernetes release whose API we speak; clients compare their version to it."""


def version_document() -> dict[str, str]:
    major, minor = KUBERNETES[1:].split(".")[:2]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{KUBERNETES}+edgek{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{machine}",
    }


class Health:
    """``ready`` tells whether bootstrap is done and the store takes writes."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready

    async def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed("only GET is allowed here")
        if request.path.rstrip("/") == "/version":
            return Response(obj=version_document())
        ready = request.path.startswith(("/livez", "/healthz")) or self._ready()
        if ready:
            return Response(content_type="text/plain; charset=utf-8", body=b"ok")
        return Response(
            status=500,
            content_type="text/plain; charset=utf-8",
            body=b"[-]bootstrap failed: not finished yet\nreadyz check failed\n",
        )
