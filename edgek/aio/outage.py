"""Says once that something does not work, and once that it works again.

Logs lie on SD cards: what is tried again and again while a server is away for days must not
write a line each time. The tries in between are told at debug.
"""

import logging


class Outage:
    """One thing that can fail; ``what`` begins its lines."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self.lasts = False

    def failed(self, err: object, *, known: bool = False) -> None:
        """``known``: somebody else tells of it already."""
        level = logging.DEBUG if self.lasts or known else logging.WARNING
        self._log.log(level, "%s: failed, trying on err=%s", self._what, err)
        self.lasts = self.lasts or not known

    def over(self) -> None:
        """It worked; costs nothing where it did before."""
        if self.lasts:
            self.lasts = False
            self._log.info("%s: works again", self._what)
