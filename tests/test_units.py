"""The systemd units and the installer, against the project they belong to."""

import configparser
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
UNITS = {"server": "edgek.service", "agent": "edgek-agent.service"}
INSTALLER = (ROOT / "install.sh").read_text()


def unit(name: str) -> Any:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(ROOT / "systemd" / name)
    return parser


def shell_words(name: str, text: str) -> set[str]:
    found = re.search(rf"^{name}\s*:?='?([^'\n]*(?:\n\s+[^'\n]*|\\\n[^\n]*)*)", text, re.MULTILINE)
    assert found, f"{name} is not set"
    return set(found[1].replace("\\\n", " ").split())


@pytest.mark.parametrize("role", UNITS)
def test_a_unit_starts_the_installed_command_in_its_role(role: str) -> None:
    program, first, *rest = unit(UNITS[role])["Service"]["ExecStart"].split()
    prefix = re.search(r"^PREFIX=(\S+)$", INSTALLER, re.MULTILINE)
    assert prefix
    assert Path(program).parent == Path(prefix[1]) / "bin"
    assert Path(program).name in PROJECT["project"]["scripts"]
    assert first in PROJECT["project"]["entry-points"]["edgek.roles"]
    assert (first, rest) == (role, ["$EDGEK_ARGS"])


@pytest.mark.parametrize("name", UNITS.values())
def test_containers_outlast_a_restart_and_secrets_stay_out_of_arguments(name: str) -> None:
    service = unit(name)["Service"]
    assert service["KillMode"] == "process"
    assert service["Delegate"] == "yes"
    assert service["Restart"] == "always"
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["ExecStopPost"].endswith("/opt/edgek/share/edgek/systemd/end-pods")
    assert service["EnvironmentFile"] == "-/etc/edgek/edgek.env"
    assert "token" not in service["ExecStart"].lower()


def test_the_units_are_part_of_the_wheel_where_the_installer_looks() -> None:
    shipped = PROJECT["tool"]["setuptools"]["data-files"]
    files = {f"systemd/{path.name}" for path in (ROOT / "systemd").iterdir()}
    assert set(shipped["share/edgek/systemd"]) == files
    assert "$PREFIX/share/edgek/systemd/" in INSTALLER


def test_the_installer_and_make_agree_on_what_debian_must_give() -> None:
    of_make = shell_words("DEBIAN", (ROOT / "Makefile").read_text())
    examples_only = {"busybox-static"}
    assert shell_words("PACKAGES", INSTALLER) == of_make - examples_only


def test_units_are_correct_for_systemd(tmp_path: Path) -> None:
    for name in UNITS.values():
        text = (ROOT / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/edgek/bin/edgek", "/bin/true"))
        check = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if name in line]
        assert (done.returncode, said) == (0, [])
