"""Logging of the processes: one line per event on stderr, ``key=value`` after a constant text."""

import logging
import os
import sys
import time

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_QUIET = ("asyncio", "aiohttp.access", "urllib3")


def set_up_logs(*, debug: bool) -> None:
    """Under systemd the journal stamps each line, so ours leaves the time out."""
    form = _FORMAT.removeprefix("%(asctime)s ") if "JOURNAL_STREAM" in os.environ else _FORMAT
    formatter = logging.Formatter(form, datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
