"""Keys and certificates, worked on in a process of their own.

To make a request and to read a certificate cryptography is needed, which would stay in the
agent's memory for good (13 MB) though it is wanted once a year. ``python -m agent.node.apart``
reads one JSON object and writes one; they go through pipes, so no secret shows in argv.
"""

import asyncio
import sys

import orjson

from agent.node.identity import NodeIdentity, identity_of, noted, noted_text, user_of
from edgek.api.errors import Timeout

SECONDS = 60.0
"""A slow board needs five."""


async def make_request(node_name: str, key: bytes | None) -> tuple[bytes, bytes]:
    """A node key, a new one where none is given, and a request signed by it. Raises ValueError
    where the key given is damaged."""
    got = await _ask({"do": "request", "node": node_name, "key": (key or b"").decode()})
    return got["key"].encode(), got["request"].encode()


async def read_identity(
    node_name: str, *, ca: bytes, certificate: bytes, key: bytes
) -> NodeIdentity:
    """As ``identity_of``."""
    files = {"ca": ca.decode(), "certificate": certificate.decode(), "key": key.decode()}
    got = await _ask({"do": "read", "node": node_name, **files})
    identity = noted(got["note"].encode(), node_name, ca=ca, certificate=certificate, key=key)
    if identity is None:
        raise ValueError("the certificate was read as another")
    return identity


async def _ask(question: dict[str, str]) -> dict[str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__,  # -P: not from whatever lies in our directory
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            out, _ = await process.communicate(orjson.dumps(question))
    except TimeoutError as err:
        raise Timeout("work on the node's key takes too long") from err
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"work on the node's key failed with code {process.returncode}")
    answer: dict[str, str] = orjson.loads(out)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer


def _answer(question: dict[str, str]) -> dict[str, str]:
    node, key = question["node"], question["key"].encode()
    try:
        if question["do"] == "request":
            return _request(node, key)
        ca, certificate = question["ca"].encode(), question["certificate"].encode()
        identity = identity_of(node, ca=ca, certificate=certificate, key=key)
        return {"note": noted_text(identity).decode()}
    except ValueError as err:
        return {"error": str(err)}


def _request(node: str, key: bytes) -> dict[str, str]:
    from edgek.pki.keys import new_key
    from edgek.pki.requests import new_request

    key = key or new_key()
    request = new_request(key, common_name=user_of(node), organizations=("system:nodes",))
    return {"key": key.decode(), "request": request.decode()}


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(_answer(orjson.loads(sys.stdin.buffer.read()))))
