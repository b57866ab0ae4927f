"""A registry of images that misbehaves as the image's name says; a program of its own.

    python -m tests.support.bad_registry 10.98.0.1:5003 MEGABYTES

``ok`` serves a layer of that size, which does not compress; ``cut`` breaks off in the middle of it
and ``stall`` says no more from there on; ``s429``, ``s500`` and ``s401`` answer with that status.
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ERRORS = {
    "s429": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit."),
    "s500": (500, "UNKNOWN", "unknown error"),
    "s401": (401, "UNAUTHORIZED", "authentication required"),
}


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Image:
    def __init__(self, megabytes: int) -> None:
        tree = io.BytesIO()
        with tarfile.open(fileobj=tree, mode="w") as tar:
            member = tarfile.TarInfo("large")
            member.size = megabytes << 20
            tar.addfile(member, io.BytesIO(os.urandom(member.size)))
        self.layer = gzip.compress(tree.getvalue(), 1)
        layers = {"type": "layers", "diff_ids": [digest(tree.getvalue())]}
        config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": layers}
        self.config = json.dumps(config).encode()
        kind = "application/vnd.docker.container.image.v1+json"
        layer_kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": kind, "size": len(self.config), "digest": digest(self.config)},
            "layers": [{"mediaType": layer_kind, "size": len(self.layer),
                        "digest": digest(self.layer)}],
        }).encode()  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    image: Image

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name, _, rest = self.path.removeprefix("/v2/").partition("/")
        if name in ERRORS:
            status, code, message = ERRORS[name]
            self.say(json.dumps({"errors": [{"code": code, "message": message}]}).encode(), status)
        elif not name:
            self.say(b"{}")
        elif "/manifests/" in rest:
            self.say(self.image.manifest)
        elif rest.endswith(digest(self.image.config)):
            self.say(self.image.config)
        else:
            self.blob(name)

    def say(self, body: bytes, status: int = 200, *, only: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        elif status == 429:
            self.send_header("Retry-After", "1")  # else Podman tries for a minute
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:only])

    def blob(self, name: str) -> None:
        whole = name == "ok"
        self.say(self.image.layer, only=None if whole else len(self.image.layer) // 2)
        if name == "stall":
            threading.Event().wait()
        self.close_connection = not whole


if __name__ == "__main__":
    host, _, port = sys.argv[1].partition(":")
    Handler.image = Image(int(sys.argv[2]))
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
