"""install.sh: which role and settings it makes of what it is told. The rest of it needs a machine
with systemd: tests/machines."""

import os
import subprocess
from pathlib import Path

import pytest

from edgek.cli.installation import read_environment
from edgek.pki.tokens import new_secret

ROOT = Path(__file__).resolve().parents[1]


class Installer:
    """Runs the script's decisions, without what changes the machine."""

    def __init__(self, root: Path) -> None:
        self.env_file, self.units = root / "edgek.env", root / "units"
        self.units.mkdir()
        text = (ROOT / "install.sh").read_text()
        assert text.endswith('\nmain "$@"\n')
        body = text.removesuffix('main "$@"\n')
        decide = 'set -f\nchoose_role ${EDGEK_EXEC-} "$@"\nset +f\ntake_settings\ncheck_role\n'
        self.script = root / "decide.sh"
        self.script.write_text(
            f"{body}\nENV_FILE={self.env_file}\nUNITS={self.units}\n{decide}"
            'merged_settings >"$ENV_FILE.new"\nmv "$ENV_FILE.new" "$ENV_FILE"\n'
            "env | grep ^EDGEK_TOKEN && exit 9\necho $role\n"
        )

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("EDGEK_")}
        return subprocess.run(
            ["sh", self.script, *words],
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def role(self, *words: str, **settings: str) -> str:
        done = self.run(*words, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def settings(self) -> dict[str, str]:
        return read_environment(self.env_file)


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    return Installer(tmp_path)


JOIN = {"EDGEK_URL": "https://192.0.2.1:6443", "EDGEK_TOKEN": "K10abc::node:x"}


@pytest.mark.parametrize(
    ("words", "settings", "role"),
    [
        ((), {}, "server"),
        ((), JOIN, "agent"),
        (("server", "--debug"), JOIN, "server"),
        (("agent",), JOIN, "agent"),
        ((), {**JOIN, "EDGEK_EXEC": "server"}, "server"),
        (("--server", "https://192.0.2.1:6443"), {"EDGEK_EXEC": "agent --token x"}, "agent"),
    ],
)
def test_the_role_is_the_first_word_or_else_follows_from_the_url(
    installer: Installer, words: tuple[str, ...], settings: dict[str, str], role: str
) -> None:
    assert installer.role(*words, **settings) == role


@pytest.mark.parametrize(
    "value", ["plain", "two words", 'quo"te', r"back\slash", "$HOME `id`", "#"]
)
def test_a_setting_reaches_the_service_as_it_was_given(installer: Installer, value: str) -> None:
    installer.role(EDGEK_NODE_NAME=value)
    assert installer.settings == {"EDGEK_NODE_NAME": value}


def test_tokens_move_from_arguments_into_the_settings(installer: Installer) -> None:
    secret = new_secret()
    installer.role("server", f"--token={secret}", "--agent-token", "other", "--tls-san", "a b")
    assert installer.settings == {
        "EDGEK_TOKEN": secret,
        "EDGEK_AGENT_TOKEN": "other",
        "EDGEK_ARGS": "--tls-san 'a b'",
    }


def test_run_again_it_keeps_what_is_not_named_again(installer: Installer) -> None:
    installer.role("--debug", **JOIN, EDGEK_NODE_NAME="attic", EDGEK_NODE_LABEL="a=b")
    (installer.units / "edgek-agent.service").touch()
    assert installer.role(EDGEK_NODE_NAME="cellar", EDGEK_NODE_LABEL="") == "agent"
    assert installer.settings == {
        "EDGEK_SERVER": JOIN["EDGEK_URL"],
        "EDGEK_TOKEN": JOIN["EDGEK_TOKEN"],
        "EDGEK_ARGS": "--debug",
        "EDGEK_NODE_NAME": "cellar",
    }


def test_a_new_token_is_not_hidden_by_an_older_file(installer: Installer) -> None:
    installer.role(EDGEK_TOKEN_FILE="/etc/secret")
    installer.role(EDGEK_TOKEN="new")
    assert installer.settings == {"EDGEK_TOKEN": "new"}


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ((), {"EDGEK_URL": "https://192.0.2.1:6443"}, "needs EDGEK_TOKEN"),
        (("agent",), {"EDGEK_TOKEN": "x"}, "EDGEK_URL"),
        (("server", "--token"), {}, "--token needs a value"),
        (("server", "--tls-san", "it's"), {}, "config.yaml"),
        ((), {"EDGEK_NODE_NAME": "two\nlines"}, "one line"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    installer: Installer, words: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    done = installer.run(*words, **settings)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not installer.env_file.exists()


def test_a_server_does_not_silently_become_an_agent(installer: Installer) -> None:
    (installer.units / "edgek.service").touch()
    done = installer.run(**JOIN)
    assert done.returncode == 1
    assert "edgek uninstall" in done.stderr


def test_the_installer_is_plain_sh() -> None:
    scripts = [
        ROOT / name for name in ("install.sh", "scripts/debian-packages", "systemd/end-pods")
    ]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.stdout == ""
