"""Where a setting comes from, and what the user reads when it cannot be."""

from pathlib import Path

import pytest

from edgek.cli.settings import load_settings
from edgek.roles import COMMON, Option, UsageError

OPTIONS = (
    *COMMON,
    Option(name="data-dir", default="/var/lib/x"),
    Option(name="port", type=int, default=6443),
    Option(name="tls-san", multiple=True),
    Option(name="write-mode", default="0600"),
    Option(name="server", other_envs=("EDGEK_URL",)),
    Option(name="token", type=str, secret=True),
    Option(name="pin", type=int, secret=True),
)


def load(tmp_path: Path, text: str = "", *, flags: dict | None = None, env: dict | None = None):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load_settings(OPTIONS, flags={"config": str(file), **(flags or {})}, environ=env or {})


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path):
    text = "port: 3\ndata-dir: /file\ntls-san: [file]"
    env = {"EDGEK_PORT": "2", "EDGEK_DATA_DIR": "/env"}
    found = load(tmp_path, text, flags={"port": 1, "data_dir": None, "tls_san": ()}, env=env)
    assert (found["port"], found["data_dir"], found["tls_san"]) == (1, "/env", ("file",))
    assert found["write_mode"] == "0600"


def test_multiple_values_come_from_commas_lists_or_one_value(tmp_path: Path):
    assert load(tmp_path, env={"EDGEK_TLS_SAN": "a,b"})["tls_san"] == ("a", "b")
    assert load(tmp_path, "tls-san: a")["tls_san"] == ("a",)
    assert load(tmp_path)["tls_san"] == ()


def test_the_file_keeps_a_mode_as_it_was_written(tmp_path: Path):
    assert load(tmp_path, "write-mode: 0644")["write_mode"] == "0644"


def test_an_option_may_have_a_second_name_in_the_environment(tmp_path: Path):
    assert load(tmp_path, env={"EDGEK_URL": "https://x"})["server"] == "https://x"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("prot: 1", "unknown setting 'prot'; did you mean 'port'?", id="typo"),
        pytest.param("data_dir: x", "did you mean 'data-dir'?", id="underscore"),
        pytest.param("port: abc", "port: 'abc' is not a whole number", id="no number"),
        pytest.param("debug: maybe", "debug: 'maybe' is not true or false", id="no boolean"),
        pytest.param("port: [1, 2]", "port: takes one value, not a list", id="list"),
        pytest.param("port: {a: 1}", "port: expected a plain value", id="mapping"),
        pytest.param("- a", "expected lines of 'name: value'", id="no mapping at all"),
        pytest.param("port: [1", "line 1, column 9 is not valid YAML", id="malformed"),
    ],
)
def test_a_bad_file_gives_one_line_that_names_file_and_cause(tmp_path: Path, text: str, line: str):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert line in message
    assert str(tmp_path / "config.yaml") in message
    assert "\n" not in message


def test_a_secret_is_not_quoted_when_it_is_bad(tmp_path: Path):
    with pytest.raises(UsageError, match="EDGEK_PIN: the value is not a whole number"):
        load(tmp_path, env={"EDGEK_PIN": "hunter2"})


def test_a_file_that_was_asked_for_must_exist_and_the_default_one_need_not():
    with pytest.raises(UsageError, match="--config: there is no file /nowhere"):
        load_settings(OPTIONS, flags={"config": "/nowhere"}, environ={})
    options = (Option(name="config", default="/nowhere"), *OPTIONS[1:])
    assert load_settings(options, flags={}, environ={})["port"] == 6443
