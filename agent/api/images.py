"""Streams of kind image: image work asked for on the device, or from afar by who may.

The question's ``verb`` names a row of the table below. What comes from the asker is the bytes of an
archive or a build context, an empty message at its end. What goes back begins with a byte for its
sort: ``D`` data of an archive, ``P`` a line of progress, ``E`` the end, a Status with the answer as
``result``. The asker's end is edgek/cli/image_calls.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Protocol

from agent.api.stream import Handler, Socket
from agent.runtime.image_work import ImageWork
from agent.runtime.reference import is_reference, normalize_reference
from agent.runtime.runtime import Image, Runtime, RuntimeFailure
from edgek.api.errors import ApiError, BadRequest, InternalError, NotFound

DATA, PROGRESS, END = b"D", b"P", b"E"
DRAIN_SECONDS = 5.0
Params = Mapping[str, Any]


class Keeper(Protocol):
    """What the pods' side wants to know of images; agent/pods/images.py is it."""

    mounted: Callable[[], frozenset[str]]
    """Ids of images that are volumes of pods. Blocking."""

    def came(self) -> None: ...

    async def arrived(self, image: Image) -> None:
        """An image that was brought here by hand."""

    async def collect(self) -> tuple[int, int, tuple[str, ...]]:
        """Removes what nobody uses: how many, how many bytes, and what was refused."""


def image_handler(runtime: Runtime, work: ImageWork, keeper: Keeper) -> Handler:
    desk = _Desk(runtime, work, keeper)
    verbs: Mapping[str, Callable[[Params, Socket], Awaitable[Any]]] = {
        "list": desk.list_,
        "layers": desk.layers,
        "import": desk.load,
        "export": desk.export,
        "pull": desk.pull,
        "build": desk.build,
        "remove": desk.remove,
        "prune": desk.prune,
    }

    async def handle(params: Params, socket: Socket) -> None:
        verb = verbs.get(str(params.get("verb")))
        if verb is None:
            raise BadRequest(f"there is no image work {params.get('verb')!r} here")
        await socket.accept()
        try:
            end = {"status": "Success", "result": await verb(params, socket)}
        except RuntimeFailure as err:
            end = InternalError(str(err)).to_status()
        except ApiError as err:
            end = err.to_status()
        await socket.send(END + json.dumps(end).encode())
        await _drain(socket)

    return handle


async def _drain(socket: Socket) -> None:
    """Until the asker has read the end and hangs up: closing with bytes unread would make its
    connection break before it sees why."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while await socket.receive() is not None:
                pass


class _Desk:
    """The rows of the table; each gives its result."""

    def __init__(self, runtime: Runtime, work: ImageWork, keeper: Keeper) -> None:
        self._runtime, self._work, self._keeper = runtime, work, keeper

    async def list_(self, params: Params, socket: Socket) -> Any:
        return [
            {"id": i.id, "names": list(i.names), "size": i.size_bytes, "containers": i.containers}
            for i in await self._runtime.images()
        ]

    async def layers(self, params: Params, socket: Socket) -> Any:
        return await self._work.layers([image.id for image in await self._runtime.images()])

    async def load(self, params: Params, socket: Socket) -> Any:
        names = await self._work.load(sent(socket))
        await self._came(names)
        return names

    async def export(self, params: Params, socket: Socket) -> Any:
        names = [await self._known(name) for name in names_of(params)]
        async with aclosing(self._work.export(names)) as pieces:
            async for piece in pieces:
                await socket.send(DATA + piece)
        return names

    async def pull(self, params: Params, socket: Socket) -> Any:
        pulled = []
        for name in names_of(params):
            await socket.send(PROGRESS + f"pulling {name}".encode())
            auth = params.get("auth")
            image = await self._runtime.pull(name, auth=auth if isinstance(auth, dict) else None)
            await self._keeper.arrived(image)
            pulled.append({"name": normalize_reference(name), "id": image.id})
        self._keeper.came()
        return pulled

    async def build(self, params: Params, socket: Socket) -> Any:
        options = dict(params.get("options") or {})
        if options.get("tag"):
            options["tag"] = normalize_reference(_checked(str(options["tag"])))
        image_id = ""
        async with aclosing(self._work.build(sent(socket), options)) as lines:
            async for line in lines:
                said = json.loads(line)
                if said.get("error"):
                    raise InternalError(said["error"])
                image_id = said.get("id") or image_id
                if text := said.get("stream"):
                    await socket.send(PROGRESS + text.rstrip("\n").encode())
        if not image_id:
            raise InternalError("the build ended before there was an image")
        await self._came([options.get("tag") or image_id])
        return {"id": image_id, "name": options.get("tag") or ""}

    async def remove(self, params: Params, socket: Socket) -> Any:
        names = [await self._known(name) for name in names_of(params)]
        for name in names:
            await self._refuse_mounted(name)
            await self._work.remove(name)
        return names

    async def _refuse_mounted(self, name: str) -> None:
        """Podman would take the files of a volume away: it knows of containers only."""
        found = await self._runtime.find_image(name)
        last = found is not None and sum("@" not in own for own in found.names) <= 1
        if found and last and found.id in await asyncio.to_thread(self._keeper.mounted):
            raise InternalError(f"image {name} is in use by a volume of a pod")

    async def prune(self, params: Params, socket: Socket) -> Any:
        removed, freed, refused = await self._keeper.collect()
        return {"removed": removed, "bytes": freed, "refused": list(refused)}

    async def _came(self, names: list[str]) -> None:
        for name in names:
            if (image := await self._runtime.find_image(name)) is not None:
                await self._keeper.arrived(image)
        self._keeper.came()

    async def _known(self, name: str) -> str:
        if await self._runtime.find_image(name) is None:
            raise NotFound(f"there is no image {name} on this node")
        return normalize_reference(name)


def names_of(params: Params) -> list[str]:
    """Raises BadRequest."""
    names = params.get("names")
    if not isinstance(names, list) or not names:
        raise BadRequest("name an image")
    return [_checked(str(name)) for name in names]


def _checked(name: str) -> str:
    if not is_reference(name):
        raise BadRequest(f"couldn't parse image name {name!r}: invalid reference format")
    return name


async def sent(socket: Socket) -> AsyncIterator[bytes]:
    """What the asker sends. Raises ConnectionResetError where it leaves before the end."""
    while data := await socket.receive():
        yield data
    if data is None:
        raise ConnectionResetError("the sender went away before the end")
