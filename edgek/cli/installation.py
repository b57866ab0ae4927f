"""What edgek has on this machine: its settings, processes, units and files; and how each goes.

For ``edgek uninstall``. Nothing here fails because a part is gone already; what could not be done
is given back as sentences.
"""

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgek.cli.role_command import build_command
from edgek.cli.settings import load_settings
from edgek.roles import COMMON, Option, Settings, UsageError, all_roles

UNITS = ("edgek", "edgek-agent")
UNIT_DIR = Path("/etc/systemd/system")
ENV_FILE = Path("/etc/edgek/edgek.env")
PREFIX = Path("/opt/edgek")
LINK = Path("/usr/local/bin/edgek")
ROLES = ("server", "agent")
STATE = ("server", "agent", "network", "landing")
"""What edgek makes below its data directory; anything else there is not ours."""
_OCTAL = re.compile(r"\\([0-7]{3})")
STOP_SECONDS = 40.0


@dataclass(frozen=True, kw_only=True)
class Process:
    pid: int
    settings: Settings


def read_environment(path: Path = ENV_FILE) -> dict[str, str]:
    """The settings file of the units, NAME="value" a line."""
    found: dict[str, str] = {}
    with suppress(OSError, UnicodeDecodeError):
        for line in path.read_text().splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                with suppress(ValueError):
                    found[name] = " ".join(shlex.split(value))
    return found


def all_options() -> tuple[Option, ...]:
    """Of all roles, each once: server and agent share one file and may share a process."""
    named = {o.name: o for role in all_roles() for o in role.options}
    return tuple({**named, **{o.name: o for o in COMMON}}.values())


def settings_of(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """What a role would run with. What cannot be read counts as not set."""
    options = all_options()
    flags: dict[str, Any] = {}
    for role in all_roles():
        command = build_command(role)
        context = command.make_context(role.name, list(arguments), resilient_parsing=True)
        flags |= {k: v for k, v in context.params.items() if v not in (None, ())}
    for chosen, variables in ((flags, environ), (flags, {}), ({}, {})):
        with suppress(UsageError):
            return load_settings(options, flags=chosen, environ=variables)
    return {o.key: o.default for o in options}


def installed_settings(environ: Mapping[str, str]) -> Settings:
    merged = {**read_environment(), **environ}
    return settings_of(shlex.split(merged.get("EDGEK_ARGS", "")), merged)


def stop_services() -> list[str]:
    if not Path("/run/systemd/system").is_dir():
        return []
    present = [name for name in UNITS if (UNIT_DIR / f"{name}.service").exists()]
    problems = [p for name in present for p in _systemctl("disable", "--now", name)]
    for name in present:
        (UNIT_DIR / f"{name}.service").unlink(missing_ok=True)
    return problems + (_systemctl("daemon-reload") if present else [])


def _systemctl(*arguments: str) -> list[str]:
    command = ["systemctl", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    except (OSError, subprocess.TimeoutExpired) as err:
        return [f"systemctl {arguments[0]}: {err}"]
    return [] if done.returncode == 0 else [f"systemctl {arguments[0]}: {done.stderr.strip()}"]


def stop_processes(data_dir: Path, *, seconds: float = STOP_SECONDS) -> list[str]:
    """The servers and agents of this data directory, started by whomever."""
    found = [p for p in processes() if Path(p.settings["data_dir"]).absolute() == data_dir]
    return [problem for p in found for problem in _stop(p.pid, seconds)]


def processes(proc: Path = Path("/proc")) -> Iterator[Process]:
    for entry in proc.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            arguments = role_arguments(_texts(entry / "cmdline"))
            if arguments is not None:
                pairs = (text.partition("=") for text in _texts(entry / "environ"))
                environ = {name: value for name, _, value in pairs}
                yield Process(pid=int(entry.name), settings=settings_of(arguments, environ))


def _texts(path: Path) -> list[str]:
    return path.read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def role_arguments(argv: Sequence[str]) -> list[str] | None:
    """What follows ``edgek ROLE``, with or without a Python before it; None for others."""
    at = 1 if Path(argv[0]).name.startswith("python") else 0
    program = argv[at : at + 2]
    if len(program) == 2 and Path(program[0]).name == "edgek" and program[1] in ROLES:
        return list(argv[at + 2 :])
    return None


def _stop(pid: int, seconds: float) -> list[str]:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return []
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                return []
    except ProcessLookupError:
        return []
    finally:
        os.close(handle)
    return [f"process {pid} does not end"]


def remove_files(settings: Settings, *, env_file: Path = ENV_FILE) -> list[str]:
    data_dir = Path(settings["data_dir"]).absolute()
    run_dir = Path(settings["run_dir"]).absolute()
    problems = [p for name in STATE for p in remove_tree(data_dir / name)]
    problems += remove_tree(run_dir)
    for path in (Path(settings["write_kubeconfig"]), env_file):
        with suppress(OSError):
            path.unlink()
    manifests = Path(settings["pod_manifest_path"])
    # What lies in the storage is volumes' data, which no claim has given up.
    for folder in (
        data_dir / "storage",
        data_dir,
        Path(settings["log_dir"]),
        manifests,
        env_file.parent,
    ):
        with suppress(OSError):  # not empty: what is left is not ours
            folder.rmdir()
    return problems


def remove_program() -> list[str]:
    """What install.sh put there; a checkout's virtual environment stays."""
    if Path(sys.prefix) != PREFIX:
        return []
    if LINK.is_symlink() and Path(os.readlink(LINK)).is_relative_to(PREFIX):
        LINK.unlink()
    return remove_tree(PREFIX)


def remove_tree(folder: Path) -> list[str]:
    """A directory and all in it, but never what is only mounted there."""
    for mount in mounts_below(folder):
        command = ["umount", "--lazy", str(mount)]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, check=False, timeout=20)
    if left := mounts_below(folder):
        return [f"{folder} stays: {left[0]} is mounted in it"]
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as err:
        return [f"cannot remove {folder}: {err.strerror}"]
    return []


def mounts_below(folder: Path) -> list[Path]:
    """The newest first, which is the order in which they can be taken away."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # A space in a mount point is written \040
    points = [_OCTAL.sub(lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines]
    return [p for p in map(Path, reversed(points)) if p.is_relative_to(folder)]
