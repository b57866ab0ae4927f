"""Runs in a machine: creates ConfigMaps one after another, says on the console which the API has
acknowledged, and goes on until the power is cut."""

import asyncio
import sys
from typing import TextIO

from edgek.client.client import Client
from edgek.client.http import HttpTransport
from edgek.client.kubeconfig import load_kubeconfig
from edgek.kinds import CONFIG_MAP


async def main(prefix: str, console: TextIO) -> None:
    client = Client(HttpTransport(load_kubeconfig("/etc/edgek/edgek.yaml").access))
    for number in range(100_000):
        name = f"{prefix}-{number}"
        made = {"metadata": {"name": name, "namespace": "default"}, "data": {"x": "x" * 500}}
        await client.create(CONFIG_MAP, made)
        console.write(f"acknowledged {name}\r\n")
        console.flush()


if __name__ == "__main__":
    with open("/dev/ttyS0", "w") as console:
        asyncio.run(main(sys.argv[1], console))
