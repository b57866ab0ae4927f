"""Settings of a role, by precedence: flags, environment, config file, default.

Everything but a flag arrives as text and takes one way through ``_convert``; the YAML is read
without its types on purpose, or ``write-kubeconfig-mode: 0600`` would become the number 384.
Every complaint is one line, names where the value came from, and never quotes a secret.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgek.roles import CONFIG, Option, Settings, UsageError

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_WHAT = {int: "a whole number", float: "a number", bool: "true or false"}


def load_settings(
    options: Sequence[Option], *, flags: Mapping[str, Any], environ: Mapping[str, str]
) -> Settings:
    """``flags`` has Option.key -> value, with None or () for a flag that was not given."""
    given = {k: v for k, v in flags.items() if v is not None and v != ()}
    found = _from_environment(options, environ)
    path = given.get(CONFIG.key) or found.get(CONFIG.key)
    file = _read_file(Path(path or CONFIG.default), must_exist=path is not None)
    settings = {o.key: () if o.multiple and not o.default else o.default for o in options}
    return settings | _from_file(options, file, path or CONFIG.default) | found | given


def _from_environment(options: Sequence[Option], environ: Mapping[str, str]) -> dict[str, Any]:
    """An empty variable counts as not set. ``multiple`` values are separated by commas."""
    out: dict[str, Any] = {}
    for option in options:
        for name in (option.env, *option.other_envs):
            if text := environ.get(name):
                parts = text.split(",") if option.multiple else text
                out[option.key] = _value(option, parts, f"environment variable {name}")
                break
    return out


def _from_file(options: Sequence[Option], file: Mapping[str, Any], path: str) -> dict[str, Any]:
    by_name = {o.name: o for o in options if o.name != CONFIG.name}
    out: dict[str, Any] = {}
    for name, raw in file.items():
        option = by_name.get(name)
        if option is None:
            raise UsageError(f"{path}: unknown setting {name!r}{_closest(name, by_name)}")
        if raw not in ("", []):
            out[option.key] = _value(option, raw, f"{path}: {name}")
    return out


def _read_file(path: Path, *, must_exist: bool) -> Mapping[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        if must_exist:
            raise UsageError(f"--config: there is no file {path}") from None
        return {}
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"--config: cannot read {path}: {_reason(err)}") from err
    return _parse(text, path)


def _parse(text: str, path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        # BaseLoader makes every scalar a str and builds nothing else: as safe as SafeLoader
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(err, "problem", None) or "unreadable"
        raise UsageError(f"{path}:{where} is not valid YAML: {problem}") from err
    if not content:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected lines of 'name: value'")
    return content


def _value(option: Option, raw: Any, where: str) -> Any:
    if isinstance(raw, list):
        if not option.multiple:
            raise UsageError(f"{where}: takes one value, not a list")
        return tuple(_convert(option, item, where) for item in raw)
    converted = _convert(option, raw, where)
    return (converted,) if option.multiple else converted


def _convert(option: Option, raw: Any, where: str) -> Any:
    if not isinstance(raw, str):
        raise UsageError(f"{where}: expected a plain value")
    text = raw.strip()
    try:
        return _boolean(text) if option.type is bool else option.type(text)
    except ValueError:
        shown = "the value" if option.secret else repr(text)
        raise UsageError(f"{where}: {shown} is not {_WHAT[option.type]}") from None


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def _closest(name: str, known: Mapping[str, Option]) -> str:
    close = difflib.get_close_matches(name.replace("_", "-").lstrip("-"), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _reason(err: OSError | UnicodeDecodeError) -> str:
    return (err.strerror or str(err)) if isinstance(err, OSError) else "it is not UTF-8 text"
