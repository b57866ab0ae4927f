"""GET, POST, a node's writes, LIST and watch fan-out of a real server over TLS, and its memory.

    python -m bench api [--only requests|list|watch] [--seconds 5] [--objects 11000]
                        [--watchers 100,1000]

The reference (``reference.py``) is measured directly before each figure that has one, so that a
neighbour's load falls on both.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import uvloop

from bench.fanout import fan_out
from bench.process import Server, cpu_of, start_server
from bench.reference import commits, hello_tls
from bench.wrk import require_wrk, wrk
from edgek.kinds.configmap import CONFIG_MAP
from edgek.kinds.pod import POD

_PATH = "/api/v1/namespaces/default/configmaps"
_POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local padding = string.rep("x", %(size)d)
local count = 0
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, string.format(
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%(prefix)s-%%d"},'
    .. '"data":{"value":"%%s"}}', count, padding))
end
"""
_PODS = 64
_STATUS = """
wrk.method = "PATCH"
wrk.headers["Content-Type"] = "application/strategic-merge-patch+json"
local count = 0
request = function()
  count = count + 1
  local path = "/api/v1/namespaces/default/pods/p-" .. count %% %(pods)d .. "/status"
  return wrk.format(nil, path, nil, string.format('{"status":{"phase":"Running",'
    .. '"message":"%%d","containerStatuses":[{"name":"main","ready":true,"restartCount":%%d,'
    .. '"image":"busybox","imageID":""}]}}', count, count))
end
"""
_ENVELOPE = 90
"""Bytes of the JSON above around the padding."""


@dataclass(frozen=True, kw_only=True)
class Options:
    seconds: int
    objects: int
    watchers: Sequence[int]


def post_script(prefix: str, body_bytes: int) -> str:
    return _POST % {"prefix": prefix, "size": body_bytes - _ENVELOPE}


async def run(parts: Sequence[str], options: Options) -> None:
    require_wrk()
    for part in parts:
        async with start_server() as server:  # each its own: none inherits another's memory
            await PARTS[part](server, options)


async def requests(server: Server, options: Options) -> None:
    print(f"ready after {server.ready_seconds:.2f} s")
    await asyncio.sleep(2)
    print(f"RSS idle {server.rss():.0f} MB")
    await _get(server, options.seconds)
    await _post(server, options.seconds)
    await _patch_status(server, options.seconds)


async def lists(server: Server, options: Options) -> None:
    before = server.rss()
    await _fill(server, options.objects)
    print(
        f"RSS with {options.objects} ConfigMaps of 1 KB {server.rss():.0f} MB "
        f"(before: {before:.0f})"
    )
    await _list(server, options.seconds, options.objects)
    print(f"RSS after the lists {server.rss():.0f} MB")


async def watches(server: Server, options: Options) -> None:
    for count in options.watchers:
        print(await fan_out(server, watchers=count))
    print(f"RSS after the watches {server.rss():.0f} MB")


PARTS: Mapping[str, Callable[[Server, Options], Awaitable[None]]] = {
    "requests": requests,
    "list": lists,
    "watch": watches,
}


async def _get(server: Server, seconds: int) -> None:
    meta = {"name": "one", "namespace": "default"}
    await server.client.create(CONFIG_MAP, {"metadata": meta, "data": {"value": "x" * 100}})
    async with hello_tls() as hello:
        cpu = cpu_of(hello.pid)
        bare = await wrk(hello.url, seconds=seconds, connections=32)
        bare_us = (cpu_of(hello.pid) - cpu) / seconds / bare.per_second * 1e6
    cpu = server.cpu_seconds()
    url = f"{server.url}{_PATH}/one"
    load = await wrk(url, token=server.token, seconds=seconds, connections=32)
    each = (server.cpu_seconds() - cpu) / seconds / load.per_second * 1e6
    print(
        f"GET {load.per_second:,.0f}/s p99 {load.p99_ms:.1f} ms, {each:.0f} us of CPU each; "
        f"bare aiohttp {bare.per_second:,.0f}/s, {bare_us:.0f} us; "
        f"ratio of CPU {each / bare_us:.2f}, of requests {load.per_second / bare.per_second:.2f}"
    )


async def _post(server: Server, seconds: int) -> None:
    loop = asyncio.get_running_loop()
    reference = await loop.run_in_executor(None, commits)
    cpu = server.cpu_seconds()
    load = await wrk(
        server.url + _PATH, token=server.token, seconds=seconds, connections=128,
        lua=post_script("post", 500),
    )  # fmt: skip
    cpu = server.cpu_seconds() - cpu
    print(
        f"POST {load.per_second:,.0f}/s p99 {load.p99_ms:.1f} ms, "
        f"{cpu / seconds / load.per_second * 1e6:.0f} us of CPU each; "
        f"SQLite alone {reference:,.0f} commits/s, ratio {load.per_second / reference:.2f}"
    )


async def _patch_status(server: Server, seconds: int) -> None:
    """As agents tell of their pods: what a large cluster writes most."""
    spec = {"containers": [{"name": "main", "image": "busybox"}]}
    for number in range(_PODS):
        meta = {"name": f"p-{number}", "namespace": "default"}
        await server.client.create(POD, {"metadata": meta, "spec": spec})
    cpu = server.cpu_seconds()
    load = await wrk(
        server.url,
        token=server.token,
        seconds=seconds,
        connections=_PODS,
        lua=_STATUS % {"pods": _PODS},
    )
    each = (server.cpu_seconds() - cpu) / seconds / load.per_second * 1e6
    print(
        f"PATCH of a pod's status {load.per_second:,.0f}/s p99 {load.p99_ms:.1f} ms, "
        f"{each:.0f} us of CPU each, with what its watchers in the server do"
    )


async def _fill(server: Server, objects: int) -> None:
    """By our own client: it makes exactly so many."""
    numbers = iter(range(objects))

    async def work() -> None:
        for number in numbers:
            meta = {"name": f"cm-{number:06d}", "namespace": "default"}
            await server.client.create(CONFIG_MAP, {"metadata": meta, "data": {"v": "x" * 750}})

    await asyncio.gather(*(work() for _ in range(64)))


async def _list(server: Server, seconds: int, objects: int) -> None:
    cpu = server.cpu_seconds()
    load = await wrk(server.url + _PATH, token=server.token, seconds=seconds, connections=2)
    cpu = server.cpu_seconds() - cpu
    listed = await server.client.list(CONFIG_MAP, namespace="default")
    assert len(listed.items) >= objects
    print(
        f"LIST of {len(listed.items)} {load.per_second:.1f}/s p99 {load.p99_ms:.0f} ms, "
        f"{cpu / seconds / load.per_second * 1e3:.1f} ms of CPU each"
    )


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench api")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--objects", type=int, default=11000)
    parser.add_argument("--watchers", default="100,1000")
    parser.add_argument("--only", choices=tuple(PARTS))
    args = parser.parse_args(argv)
    counts = [int(n) for n in args.watchers.split(",") if n]
    options = Options(seconds=args.seconds, objects=args.objects, watchers=counts)
    uvloop.run(run((args.only,) if args.only else tuple(PARTS), options))
