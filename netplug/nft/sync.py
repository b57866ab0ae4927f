"""Keeps one table as wanted: differences in one transaction, everything when that fails.

Holds a copy of what is loaded, because nftables fails a whole transaction over one absent
element. After a restart ``adopt`` reads the kernel's state instead of loading anew, so that no
connection and no service is lost; whether the *rules* are still ours is told by a note of the
listing made when they were loaded (a file beside the sandboxes, gone after a reboot as they are).
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from netplug.model import NetplugError
from netplug.nft.nft import Nft, NftError
from netplug.nft.objects import Chain, Change, Content, Elements, Key, Table, render_replace

log = logging.getLogger(__name__)

GOTO: Key = ("goto",)


def plan_change(table: Table, *, loaded: Elements, wanted: Elements) -> Change:
    """What leads from ``loaded`` to ``wanted``."""
    remove: dict[str, Content] = {}
    add: dict[str, Content] = {}
    for name, content in wanted.items():
        have = loaded.get(name, {})
        gone = {key: value for key, value in have.items() if content.get(key) != value}
        new = {key: value for key, value in content.items() if have.get(key) != value}
        if gone:
            remove[name] = gone
        if new:
            add[name] = new
    return Change(table=table, remove=remove, add=add)


class TableSync:
    """``chain_of`` makes the chains that elements refer to and the table itself lacks."""

    def __init__(self, nft: Nft, note: Path, *, chain_of: Callable[[str], Chain]) -> None:
        self._nft = nft
        self._note = note
        self._chain_of = chain_of
        self._table: Table | None = None
        self._extra: dict[str, Chain] = {}
        self._loaded: dict[str, dict[Key, Key]] = {}

    def adopt(self, table: Table) -> bool:
        """Takes over what the kernel has; loads the table anew where its rules are not ours.

        True if it was there and whole. Elements found among foreign rules (an older version's)
        are carried over: better the services of a moment ago than none until the next update.
        """
        layout = self._nft.layout(table)
        extra = self._noted_chains(table, layout)
        self._table = table
        if layout and extra is not None:
            self._extra = extra
            self._loaded = self._nft.elements(table)
            return True
        self._load_found(table, layout)
        return False

    def _load_found(self, table: Table, layout: str) -> None:
        try:
            found = self._nft.elements(table) if layout else {}
            targets = {
                v[1] for content in found.values() for v in content.values() if v[:1] == GOTO
            }
            own = {chain.name for chain in table.chains}
            self._load_all({str(n): self._chain_of(str(n)) for n in targets - own}, found)
        except (NftError, KeyError, ValueError) as err:
            log.warning("nftables of before cannot be kept error=%s", err)
            self._load_all({}, {})

    def apply(self, chains: dict[str, Chain], wanted: dict[str, dict[Key, Key]]) -> Change:
        """Makes the maps hold ``wanted``; gives back the change, as seen from what was known."""
        assert self._table is not None, "adopt a table first"
        change = plan_change(self._table, loaded=self._loaded, wanted=wanted)
        known = self._extra.keys() | {chain.name for chain in self._table.chains}
        if chains.keys() - known:
            self._load_all(self._extra | chains, wanted)
        elif change:
            self._send(change, wanted)
        return change

    def _send(self, change: Change, wanted: dict[str, dict[Key, Key]]) -> None:
        try:
            self._nft.change(change)
            self._loaded = {name: dict(content) for name, content in wanted.items()}
        except NftError as err:
            log.warning("nftables differ from what was loaded, loading all error=%s", err)
            self._load_all(self._extra, wanted)

    def _load_all(self, chains: dict[str, Chain], wanted: dict[str, dict[Key, Key]]) -> None:
        assert self._table is not None
        own = {chain.name for chain in self._table.chains}
        chains = {name: chain for name, chain in chains.items() if name not in own}
        whole = replace(self._table, chains=self._table.chains + tuple(chains.values()))
        self._nft.replace(whole, wanted)
        self._extra = chains
        self._loaded = {name: dict(content) for name, content in wanted.items()}
        self._write_note()

    def drops(self) -> list[str]:
        return self._nft.drops()

    def loaded(self, name: str) -> Content:
        """What is known to be in a map."""
        return self._loaded.get(name, {})

    def learned(self, name: str) -> dict[Key, Key]:
        assert self._table is not None
        return self._nft.learned(self._table, name)

    def forget(self, name: str, key: Key) -> None:
        """Removes one learned element; NftNotFound when it went by itself."""
        assert self._table is not None
        self._nft.change(Change(table=self._table, remove={name: {key: ()}}))

    # -- the note: "<hash of our text> <hash of the listing> <names of extra chains>" ------

    def _write_note(self) -> None:
        assert self._table is not None
        listing = _digest(self._nft.layout(self._table))
        words = [_digest(render_replace(self._table, {})), listing, *self._extra]
        try:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_text(" ".join(words))
        except OSError as err:
            raise NetplugError(f"write {self._note}: {err.strerror}") from err

    def _noted_chains(self, table: Table, layout: str) -> dict[str, Chain] | None:
        """Extra chains by name if the note fits table and listing, else None."""
        try:
            ours, listing, *names = self._note.read_text().split()
        except (OSError, ValueError):
            return None
        if ours != _digest(render_replace(table, {})) or listing != _digest(layout):
            return None
        return {name: self._chain_of(name) for name in names}

    def remove(self, name: str) -> None:
        self._nft.delete(name)
        self._note.unlink(missing_ok=True)
        self._extra, self._loaded, self._table = {}, {}, None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
