"""Builds an image with podman-py, in a process of its own: ``python -m agent.runtime.podman_images
SOCKET OPTIONS``, the context as a tar on stdin, JSON lines on stdout.

The only importer of podman. It is 20 MB in memory and blocks, and builds are rare: so it is there
while one runs, and the agent never has it. Killing this process breaks the build off.
"""

import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

from podman import PodmanClient
from podman.domain.images_manager import ImagesManager

CHUNK = 256 * 1024
NEVER = 24 * 3600.0


def main(socket: str, options: str, context: BinaryIO) -> int:
    asked = json.loads(options)
    # podman-py's own build() gives nothing out until all is over; its parameters and its
    # connection serve as they are.
    params = ImagesManager._render_params(
        {
            "fileobj": context,
            "dockerfile": asked.get("dockerfile") or "Dockerfile",
            "tag": asked.get("tag") or None,
            "buildargs": asked.get("buildargs") or {},
            "nocache": bool(asked.get("nocache")),
            "pull": bool(asked.get("pull")),
            "target": asked.get("target") or None,
            "rm": True,
            "forcerm": True,
        }
    )
    with PodmanClient(base_url=f"http+unix://{socket}", timeout=NEVER) as client:
        answer = client.api.post(
            "/build", params=params, data=pieces(context), stream=True,  # type: ignore[arg-type]
            headers={"Content-Type": "application/x-tar"},
        )  # fmt: skip
        if answer.status_code >= 400:
            say({"error": str(answer.json().get("message") or answer.text)})
            return 1
        return tell(answer.iter_lines())


def pieces(context: BinaryIO) -> Iterator[bytes]:
    while data := context.read1(CHUNK):  # type: ignore[attr-defined]
        yield data


def tell(lines: Iterator[bytes]) -> int:
    """The lines, and in the end the image's id, which the last one is."""
    last = ""
    for line in lines:
        said = json.loads(line)
        if said.get("error"):
            say({"error": str(said["error"])})
            return 1
        last = str(said.get("stream") or "")
        say({"stream": last})
    say({"id": last.strip()})
    return 0


def say(value: dict[str, str]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.stdin.buffer))
