"""Run inside the server's space, as a program: many commands and followed logs of one pod at once.
``python many_streams.py POD COMMANDS LOGS``, with the pod's ``cat`` and its log's first line
``ready``. Prints how many of each were right.

All are open at the same moment: none is ended before the last has given its first answer.
"""

import asyncio
import base64
import json
import ssl
import sys
import tempfile
from pathlib import Path

import aiohttp
import yaml

Config = dict[str, dict[str, str]]
CONFIG = Path("/etc/edgek/edgek.yaml")
STDIN, STDOUT, ERROR, CLOSE = b"\0", b"\1", b"\3", b"\xff"


class Crowd:
    """Those that are open; ``all_here`` once that is everybody."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self.all_here = asyncio.Event()

    async def joined(self) -> None:
        self._missing -= 1
        if not self._missing:
            self.all_here.set()
        await self.all_here.wait()


def tls(config: Config) -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**config["cluster"], **config["user"]}.items():
            if name.endswith("-data"):
                (Path(folder) / name).write_bytes(base64.b64decode(text))
        at = {name: str(Path(folder) / f"{name}-data") for name in
              ("certificate-authority", "client-certificate", "client-key")}  # fmt: skip
        context = ssl.create_default_context(cafile=at["certificate-authority"])
        context.load_cert_chain(at["client-certificate"], at["client-key"])
        return context


async def command(session: aiohttp.ClientSession, pod: str, number: int, crowd: Crowd) -> bool:
    """``cat`` gives back what it was sent, and its success once its input has ended."""
    url = f"{pod}/exec?command=cat&stdin=true&stdout=true"
    async with session.ws_connect(url, protocols=("v5.channel.k8s.io",)) as socket:
        said, heard, verdict = b"%d " % number * 500, b"", {}
        await socket.send_bytes(STDIN + said)
        async for message in socket:
            channel, data = message.data[:1], message.data[1:]
            if channel == ERROR:
                verdict = json.loads(data)
                break
            heard += data if channel == STDOUT else b""
            if channel == STDOUT and data and len(heard) == len(said):
                await crowd.joined()
                await socket.send_bytes(CLOSE + STDIN)
        return heard == said and verdict["status"] == "Success"


async def follow(session: aiohttp.ClientSession, pod: str, crowd: Crowd) -> bool:
    async with session.get(f"{pod}/log?follow=true") as response:
        line = await response.content.readline()
        await crowd.joined()
        return line == b"ready\n"


async def main(config: Config, pod: str, commands: int, logs: int) -> None:
    url = f"{config['cluster']['server']}/api/v1/namespaces/default/pods/{pod}"
    crowd, connector = Crowd(commands + logs), aiohttp.TCPConnector(ssl=tls(config), limit=0)
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession(connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        ran = [group.create_task(command(session, url, n, crowd)) for n in range(commands)]
        read = [group.create_task(follow(session, url, crowd)) for _ in range(logs)]
    print(sum(t.result() for t in ran), sum(t.result() for t in read))


if __name__ == "__main__":
    found = yaml.safe_load(CONFIG.read_text())
    given = {"cluster": found["clusters"][0]["cluster"], "user": found["users"][0]["user"]}
    asyncio.run(main(given, sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
