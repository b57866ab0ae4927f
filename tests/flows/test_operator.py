"""An operator written with kopf: its CRD, handlers, and an admission webhook of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgek.pki.certificates import Profile, new_ca, new_pair
from tests.support.tls_server import TlsServer, tls_server

pytestmark = pytest.mark.timeout(180)

OPERATOR = Path(__file__).parents[2] / "examples/operator/greeter.py"
CRD = OPERATOR.with_name("crd.yaml")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path) as running:
        await running.kubectl("apply", "-f", str(CRD))
        await running.kubectl(
            "wait", "crd/greetings.example.com", "--for=condition=Established", "--timeout=20s"
        )
        yield running


def write_certificates(folder: Path) -> Path:
    now = datetime.now(UTC)
    ca = new_ca("greeter-ca", now=now)
    profile = Profile(common_name="greeter", names=("127.0.0.1",), server=True)
    pair = new_pair(ca, profile, now=now)
    folder.mkdir()
    for name, pem in (
        ("ca.pem", ca.certificate),
        ("cert.pem", pair.certificate),
        ("key.pem", pair.key),
    ):
        (folder / name).write_bytes(pem)
    return folder


@asynccontextmanager
async def operator(server: TlsServer) -> AsyncIterator[asyncio.subprocess.Process]:
    env = {
        **os.environ,
        "KUBECONFIG": str(server.config.write_kubeconfig),
        "GREETER_CERTIFICATES": str(write_certificates(server.kubectl.home / "certificates")),
    }
    argv = (sys.executable, "-m", "kopf", "run", "--verbose", "-n", "default", str(OPERATOR))
    with (server.kubectl.home / "operator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*argv, env=env, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                async with asyncio.timeout(20):
                    await process.wait()


GREETING = """
apiVersion: example.com/v1
kind: Greeting
metadata: {name: hello}
spec: {text: hello, times: 2}
"""


async def test_the_life_of_a_custom_object(server: TlsServer) -> None:
    kubectl = server.kubectl
    async with operator(server) as running:
        await kubectl.until(
            "greeter", "get", "validatingwebhookconfigurations", "--ignore-not-found", seconds=60
        )
        await kubectl("apply", "-f", "-", stdin=GREETING)
        shown = (
            "get",
            "configmap",
            "greeting-hello",
            "--ignore-not-found",
            "-o",
            "jsonpath={.data.text}",
        )
        await kubectl.until("hello hello", *shown, seconds=60)
        await kubectl("wait", "greeting/hello", "--for=jsonpath={.status.greet.said}=2",
                      "--timeout=30s")  # fmt: skip
        await kubectl("patch", "greeting", "hello", "--type=merge", "-p", '{"spec":{"times":3}}')
        await kubectl.until("hello hello hello", *shown, seconds=60)
        found = json.loads(await kubectl("get", "greeting", "hello", "-o", "json"))
        assert "kopf.zalando.org/KopfFinalizerMarker" in found["metadata"]["finalizers"]
        refused = await kubectl(
            "patch", "greeting", "hello", "--type=merge", "-p", '{"spec":{"text":"curse"}}',
            ok=False,
        )  # fmt: skip
        assert "denied the request: mind your words" in refused
        await kubectl("delete", "greeting", "hello", "--timeout=30s")
        # What it owned goes with it.
        async with asyncio.timeout(30):
            while "greeting-hello" in await kubectl("get", "configmaps"):
                pass
        assert running.returncode is None
