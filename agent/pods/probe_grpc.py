"""A gRPC probe: the health protocol, no TLS, in the words of pkg/probe/grpc.

Imported when the first such probe runs, and h2 with it.
"""

from agent.grpc.call import GrpcError, call
from agent.pods.http_get import VERSION
from edgek.schema.wire import Malformed, read_fields, write_bytes

HEALTH = "/grpc.health.v1.Health/Check"
STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


async def check_health(address: str, service: str, *, seconds: float, within: str) -> str | None:
    """None where the service is well, else what is wrong. ``within``: the seconds as shown."""
    request = write_bytes(1, service.encode()) if service else b""
    agent = f"kube-probe/{VERSION}"
    try:
        answer = await call(address, HEALTH, request, seconds=seconds, user_agent=agent)
        status = next((value for number, _, value in read_fields(answer) if number == 1), 0)
    except GrpcError as err:
        return _worded(err, address, within)
    except Malformed as err:
        return f"error: health rpc probe failed: {err}"
    if status == STATUS.index("SERVING"):
        return None
    known = isinstance(status, int) and status < len(STATUS)
    return f'service unhealthy (responded with "{STATUS[int(status)] if known else status!s}")'


def _worded(err: GrpcError, address: str, within: str) -> str:
    if not err.connected and err.code == "DEADLINE_EXCEEDED":
        return f'timeout: failed to connect service "{address}" within {within}: {err.message}'
    if not err.connected:
        return f'error: failed to connect service at "{address}": {err.message}'
    if err.code == "UNIMPLEMENTED":
        what = "this server does not implement the grpc health protocol (grpc.health.v1.Health)"
        return f"error: {what}: {err.message}"
    if err.code == "DEADLINE_EXCEEDED":
        return f"timeout: health rpc did not complete within {within}"
    return f"error: health rpc probe failed: {err}"
