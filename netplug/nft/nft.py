"""The door to nftables: libnftables in this process (ctypes), else the ``nft`` program.

In process a change takes well under a millisecond, as a child process 16 ms and a moment of
its own memory. Everything is one transaction: it holds wholly or not at all. Error texts are
mapped once, here. Calls block; they may come from any thread, one at a time.
"""

import ctypes
import json
import shutil
import subprocess
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from netplug.model import NetplugError
from netplug.nft.objects import (
    Change,
    Elements,
    Key,
    Table,
    Word,
    render_change,
    render_replace,
)

_FLAG_JSON, _FLAG_TERSE = 1 << 4, 1 << 11
_TIMEOUT = 20.0


class NftError(NetplugError):
    """nftables refused the transaction; nothing of it holds."""


class NftNotFound(NftError):
    """It names a table, chain, map or element that is not there."""


class NftExists(NftError):
    """It adds what is there already with another value."""


class Nft(Protocol):
    """Tables in the kernel. ``fake.FakeNft`` behaves the same without one."""

    def replace(self, table: Table, elements: Elements) -> None:
        """Loads all of it, instead of what was there."""

    def change(self, change: Change) -> None:
        """Applies differences; NftNotFound or NftExists when they do not fit what is loaded."""

    def layout(self, table: Table) -> str:
        """The table's rules without elements, canonically; "" where there is no table."""

    def elements(self, table: Table) -> dict[str, dict[Key, Key]]:
        """What is in the maps that are not learned."""

    def learned(self, table: Table, name: str) -> dict[Key, Key]:
        """What rules have put into a map."""

    def delete(self, name: str) -> None:
        """The table is gone afterwards."""

    def drops(self) -> list[str]:
        """Others' chains that drop what is forwarded or comes in unless a rule accepts it:
        an accept in our table does not overrule them."""


class KernelNft:
    def __init__(self, runner: "Runner | None" = None) -> None:
        self._run = runner or open_runner()

    def replace(self, table: Table, elements: Elements) -> None:
        self._run(render_replace(table, elements))

    def change(self, change: Change) -> None:
        if change:
            self._run(render_change(change))

    def layout(self, table: Table) -> str:
        try:
            return self._run(f"list table ip {table.name}", terse=True)
        except NftNotFound:
            return ""

    def elements(self, table: Table) -> dict[str, dict[Key, Key]]:
        found: dict[str, dict[Key, Key]] = {}
        for each in table.maps:
            if not each.learned:
                found[each.name] = self._read(table, each.name)
        return found

    def learned(self, table: Table, name: str) -> dict[Key, Key]:
        return self._read(table, name)

    def _read(self, table: Table, name: str) -> dict[Key, Key]:
        word = table.map(name).word
        answer = json.loads(self._run(f"list {word} ip {table.name} {name}", as_json=True))
        return parse_elements(answer["nftables"])

    def delete(self, name: str) -> None:
        # Added first, so that it is there to be deleted.
        self._run(f"table ip {name}\ndelete table ip {name}\n")

    def drops(self) -> list[str]:
        listing = json.loads(self._run("list chains", as_json=True))
        chains = (each["chain"] for each in listing["nftables"] if "chain" in each)
        return [
            f"{chain['family']} {chain['table']} {chain['name']}"
            for chain in chains
            if chain["family"] in ("ip", "inet")
            and chain.get("hook") in ("forward", "input")
            and chain.get("policy") == "drop"
        ]


def parse_elements(objects: Iterable[Mapping[str, Any]]) -> dict[Key, Key]:
    """Elements of a JSON listing of one map or set."""
    found: dict[Key, Key] = {}
    for each in objects:
        body = each.get("map") or each.get("set") or {}
        for element in body.get("elem") or []:
            if "map" in each:
                found[_words(element[0])] = _words(element[1])
            else:
                found[_words(element)] = ()
    return found


def _words(value: Any) -> Key:
    if isinstance(value, dict):
        if "elem" in value:  # carries a timeout
            return _words(value["elem"]["val"])
        if "concat" in value:
            return tuple(_word(part) for part in value["concat"])
        if "goto" in value:
            return ("goto", value["goto"]["target"])
    return (_word(value),)


def _word(value: Any) -> Word:
    return value if isinstance(value, int) else str(value)


class Runner(Protocol):
    def __call__(self, script: str, *, as_json: bool = False, terse: bool = False) -> str: ...


def open_runner() -> Runner:
    """libnftables where it is installed, else the program; neither: a clear error."""
    try:
        return LibraryRunner()
    except OSError:
        pass
    if shutil.which("nft"):
        return ProgramRunner()
    raise NetplugError("neither libnftables nor the nft program is installed (nftables)")


class LibraryRunner:
    """One context, kept; libnftables itself notices when others changed the ruleset."""

    def __init__(self) -> None:
        lib = ctypes.CDLL("libnftables.so.1")
        lib.nft_ctx_new.restype = ctypes.c_void_p
        lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for name, result in (
            ("nft_ctx_buffer_output", ctypes.c_int),
            ("nft_ctx_buffer_error", ctypes.c_int),
            ("nft_ctx_get_output_buffer", ctypes.c_char_p),
            ("nft_ctx_get_error_buffer", ctypes.c_char_p),
        ):
            getattr(lib, name).restype = result
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        lib.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        lib.nft_ctx_output_set_flags.restype = None
        lib.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._lib = lib
        self._ctx = lib.nft_ctx_new(0)
        if not self._ctx:
            raise OSError("libnftables gave no context")
        lib.nft_ctx_buffer_output(self._ctx)
        lib.nft_ctx_buffer_error(self._ctx)
        self._lock = threading.Lock()

    def __call__(self, script: str, *, as_json: bool = False, terse: bool = False) -> str:
        flags = (_FLAG_JSON if as_json else 0) | (_FLAG_TERSE if terse else 0)
        with self._lock:
            self._lib.nft_ctx_output_set_flags(self._ctx, flags)
            code = self._lib.nft_run_cmd_from_buffer(self._ctx, script.encode())
            out = self._lib.nft_ctx_get_output_buffer(self._ctx) or b""
            err = self._lib.nft_ctx_get_error_buffer(self._ctx) or b""
        if code:
            raise error_of(err.decode(errors="replace"))
        return str(out.decode())


class ProgramRunner:
    def __call__(self, script: str, *, as_json: bool = False, terse: bool = False) -> str:
        argv = ["nft", *(["-t"] if terse else []), "-f", "-"]
        if as_json:  # with -f it would want JSON in as well
            argv = ["nft", "-j", *script.split()]
        try:
            done = subprocess.run(
                argv, input=script, text=True, capture_output=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            raise NftError(f"nft: {err}") from err
        if done.returncode:
            raise error_of(done.stderr)
        return done.stdout


def error_of(text: str) -> NftError:
    """nft's words -> one class; only the first complaint, it quotes whole scripts."""
    first = text.strip().split("\n", 1)[0][:300] or "no reason given"
    for words, kind in (("No such file", NftNotFound), ("File exists", NftExists)):
        if words in text:
            return kind(f"nftables: {first}")
    return NftError(f"nftables: {first}")
