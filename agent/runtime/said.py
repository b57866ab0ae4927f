"""What Podman's service says on its standard error, line by line, for the log.

It writes there what goes wrong that no answer tells of, but also the progress of each load and
export of images, which nobody asked for: that is left out, and so is what is no fault.
"""

import asyncio
import logging
import os
import re

from edgek.aio.tasks import cancel_and_wait

log = logging.getLogger(__name__)

# As copy.Image of containers/image reports it.
NO_NEWS = (
    "Getting image source signatures", "Getting image list signatures", "Checking if image ",
    "Copying blob ", "Copying config ", "Copying image ", "Copying all images ",
    "Writing manifest to ", "Writing manifest list to ", "Signing manifest",
    "Storing signatures", "Storing list signatures", "Trying to pull ",
    # Of each container of before a reboot, at each listing, by Podman 4.3: its namespace is gone.
    'level=error msg="Inspecting network namespace: ',
)  # fmt: skip
_TIME = re.compile(r'^time="[^"]*" ')
LONGEST = 1000
LAST_WORDS_SECONDS = 1.0


class Said:
    """``last``: the latest line that was news."""

    def __init__(self) -> None:
        self.last = ""
        self._task: asyncio.Task[None] | None = None
        self._pipe: asyncio.ReadTransport | None = None

    async def listen(self) -> int:
        """The end to write to; the caller closes it. Not a pipe of asyncio's process, which would
        not count as ended while anything that it has started holds the pipe."""
        ours, theirs = os.pipe()
        stream = asyncio.StreamReader()
        self._pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(ours, "rb", buffering=0)
        )
        self._task = asyncio.create_task(self.follow(stream))
        return theirs

    async def last_words(self) -> str:
        """What was said at the end, once whoever said it has ended."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=LAST_WORDS_SECONDS)
        return self.last

    async def close(self) -> None:
        if self._task is not None:
            await cancel_and_wait(self._task)
        if self._pipe is not None:
            self._pipe.close()

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Until nobody writes there any more."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than any line of its own
                continue
            if not line:
                return
            text = _TIME.sub("", line.decode(errors="replace").strip())[:LONGEST]
            if text and not text.startswith(NO_NEWS):
                self.last = text
                log.warning("podman's service said=%r", text)
