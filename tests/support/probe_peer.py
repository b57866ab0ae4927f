"""Whom probes ask in tests: a gRPC health service, and a web server that speaks TLS alone.

    python -m tests.support.probe_peer GRPC_PORT HTTPS_PORT

The service named ``cold`` does not serve. The web server finds a request good that has the path,
the host and the header it waits for, and says no to all others. Says ``up`` when both listen.
"""

import http.server
import sys
import threading
from datetime import UTC, datetime

from edgek.pki.certificates import Profile, new_ca, new_pair
from tests.support.grpc_server import grpc_server
from tests.support.https_peer import context_of

HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = {"Host": "my.host", "X-Own": "it"}
        good = self.path == "/x?y=1" and all(self.headers[k] == v for k, v in wanted.items())
        self.send_response(200 if good else 418)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main(grpc_port: int, https_port: int) -> None:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", https_port), Asked)
    now = datetime.now(UTC)
    pair = new_pair(
        new_ca("ca", now=now), Profile(common_name="x", names=("x",), server=True), now=now
    )
    server.socket = context_of(pair).wrap_socket(server.socket, server_side=True)

    def check(request: bytes) -> bytes:
        return NOT_SERVING if b"cold" in request else SERVING

    with grpc_server({HEALTH: check}, f"0.0.0.0:{grpc_port}"):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("up", flush=True)
        sys.stdin.read()  # until whoever started it is gone


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
