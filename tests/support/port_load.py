"""Run inside a space, as a program: many connections to one port, each of which must get back what
it sent. ``python port_load.py PORT CONNECTIONS BYTES [lazy]``; lazy: one more that reads nothing.
"""

import asyncio
import contextlib
import random
import sys

AT_THE_DOOR = 8
"""Connections that are not answered yet: busybox' listeners queue few, and more are reset."""


async def exchange(port: int, data: bytes, door: asyncio.Semaphore) -> bool:
    async with door:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data[:1])
        first = await reader.readexactly(1)
    reading = asyncio.create_task(reader.read())
    try:
        writer.write(data[1:])
        await writer.drain()
        writer.write_eof()
        return first + await reading == data
    finally:
        writer.close()


async def lazy(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(asyncio.TimeoutError, OSError):
        async with asyncio.timeout(2):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
    await asyncio.sleep(3600)


async def main(port: int, connections: int, size: int, *more: str) -> None:
    tasks = [asyncio.create_task(lazy(port))] if more else []
    if tasks:
        await asyncio.sleep(2.5)
    sent = [random.Random(n).randbytes(size) for n in range(connections)]
    door = asyncio.Semaphore(AT_THE_DOOR)
    async with asyncio.timeout(60):
        good = await asyncio.gather(*(exchange(port, data, door) for data in sent))
    for task in tasks:
        task.cancel()
    print(f"{sum(good)} of {connections}")


if __name__ == "__main__":
    asyncio.run(main(*(int(text) for text in sys.argv[1:4]), *sys.argv[4:]))
