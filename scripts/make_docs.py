"""Writes the generated parts of the docs, from the values the program itself uses.

    python -m scripts.make_docs

A generated part stands between two marks in a page, ``<!-- generated: NAME -->`` and
``<!-- end of generated -->``; the prose around them is written by hand. ``PARTS`` says which
page has which parts. tests/test_generated_docs.py proves the pages fresh.
"""

import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import click

from edgek.cli.main import VERBS
from edgek.cli.role_command import all_options
from edgek.kinds import ALL
from edgek.kinds.kind import Kind
from edgek.roles import Option, find_role
from scripts import api_coverage, pod_coverage
from server import controllers as control_loops

CLUSTER_FLAGS = ("--kubeconfig", "--context", "--namespace")
ROOT = Path(__file__).resolve().parent.parent
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of generated -->)", re.S)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown, one line a row."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def options_of(role: str) -> str:
    rows = (
        (f"`--{o.name}`", _value(o), _default(o), _environment(o), o.help)
        for o in all_options(find_role(role))
    )
    return table(("Flag", "Value", "Default", "Environment", "Meaning"), rows)


def _value(option: Option) -> str:
    if option.type is bool:
        return "true, false"
    shown = f"`{option.metavar or option.type.__name__.upper()}`"
    return f"{shown}, repeatable" if option.multiple else shown


def _default(option: Option) -> str:
    if option.type is bool:
        return "true" if option.default else "false"
    return f"`{option.default}`" if option.default not in (None, "", ()) else ""


def _environment(option: Option) -> str:
    return ", ".join(f"`{name}`" for name in (option.env, *option.other_envs))


def kinds() -> str:
    head = ("Kind", "apiVersion", "Plural", "Short", "Namespaced", "Subresources", "Kept")
    return table(head, (_kind(kind) for kind in ALL))


def _kind(kind: Kind) -> tuple[str, ...]:
    return (
        kind.kind,
        f"`{kind.api_version}`",
        f"`{kind.plural}`",
        ", ".join(f"`{name}`" for name in kind.short_names),
        "yes" if kind.namespaced else "no",
        ", ".join(f"`{sub.name}`" for sub in kind.subresources),
        kind.durability,
    )


def coverage() -> str:
    return table(("Version", "Resource", "Verbs of 1.37", "edgek"), api_coverage.rows())


def commands() -> str:
    """Every command but the roles, with its options but those that all have."""
    return "\n".join(_command(path, found) for path, found in walk(VERBS))


def walk(verbs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, click.Command]]:
    for name, module in verbs:
        command: click.Command = import_module(module).command
        if isinstance(command, click.Group):
            yield from ((f"edgek {name} {sub}", c) for sub, c in command.commands.items())
        else:
            yield f"edgek {name}", command


def _command(path: str, command: click.Command) -> str:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params
                 if isinstance(p, click.Argument)]  # fmt: skip
    rows = [
        (", ".join(f"`{name}`" for name in o.opts), _takes(o), o.help or "")
        for o in command.params
        if isinstance(o, click.Option) and f"--{o.name}" not in CLUSTER_FLAGS
    ]
    title = " ".join([path, *arguments])
    options = f"\n{table(('Flag', 'Value', 'Meaning'), rows)}" if rows else ""
    return f"### {path}\n\n    {title}\n\n{command.get_short_help_str(200)}\n{options}"


def _takes(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    shown = f"`{option.metavar or 'true, false'}`"
    return f"{shown}, repeatable" if option.multiple else shown


def layers() -> str:
    """The import contracts that are layers, from the highest to the lowest."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = config["tool"]["importlinter"]["contracts"]
    lines = [
        f"{', '.join(contract.get('containers', ['packages']))}: {' > '.join(contract['layers'])}"
        for contract in contracts
        if contract["type"] == "layers"
    ]
    wrapped = (textwrap.fill(line, 92, subsequent_indent="    ") for line in lines)
    return "```\n" + "\n".join(wrapped) + "\n```\n"


def controllers() -> str:
    return table(("File", "Its promise"), map(_promise, _controller_modules()))


def _controller_modules() -> Iterator[ModuleType]:
    """Those of the list, in its order; then those that server/run.py adds."""
    listed = [build.__module__ for build in control_loops.ALL]
    every = [f"{control_loops.__name__}.{m.name}" for m in iter_modules(control_loops.__path__)]
    for name in (*listed, *(name for name in every if name not in listed)):
        module = import_module(name)
        if hasattr(module, "build"):
            yield module


def controllers_in_full() -> str:
    """What each says of itself, whole."""
    return "\n".join(_in_full(module) for module in _controller_modules())


def _in_full(module: ModuleType) -> str:
    title, _, rest = (module.__doc__ or "").strip().partition(": ")
    paragraphs = (" ".join(text.split()) for text in rest.split("\n\n"))
    told = "\n\n".join(textwrap.fill(text.replace("``", "`"), 100) for text in paragraphs)
    file = module.__name__.replace(".", "/")
    return f"### {title.replace('``', '`')}\n\n`{file}.py`: {told}\n"


def _promise(module: ModuleType) -> tuple[str, str]:
    name = module.__name__.replace(".", "/")
    summary = (module.__doc__ or "").split("\n\n")[0].partition(": ")[2]
    promise = " ".join(summary.partition("; ")[0].partition(". ")[0].split()).rstrip(".")
    return f"`{name}.py`", promise.replace("``", "`")


Part = Callable[[], str]
PARTS: Mapping[str, Mapping[str, Part]] = {
    "docs/architecture.md": {"layers": layers},
    "docs/controllers.md": {"promises": controllers, "controllers": controllers_in_full},
    "docs/configuration.md": {
        "server-options": lambda: options_of("server"),
        "agent-options": lambda: options_of("agent"),
    },
    "docs/kinds.md": {"kinds": kinds},
    "docs/api-coverage.md": {"coverage": coverage},
    "docs/cli.md": {"commands": commands},
    "docs/pod-coverage.md": {
        "pod": lambda: table(pod_coverage.HEAD, pod_coverage.pod_rows()),
        "contexts": lambda: table(pod_coverage.HEAD, pod_coverage.context_rows()),
        "containers": lambda: table(pod_coverage.HEAD, pod_coverage.container_rows()),
        "volumes": lambda: table(pod_coverage.HEAD, pod_coverage.volume_rows()),
    },
}
"""Page -> name of a part -> what makes it."""


def fill(text: str, parts: Mapping[str, Part]) -> str:
    """The page with its parts made anew. Raises ValueError where a part has no place in it."""
    if missing := parts.keys() - {match[2] for match in _PART.finditer(text)}:
        raise ValueError(f"no place for {', '.join(sorted(missing))}")
    return _PART.sub(lambda m: f"{m[1]}{parts[m[2]]()}{m[3]}", text)


def main() -> int:
    for name, parts in PARTS.items():
        page = ROOT / name
        page.write_text(fill(page.read_text(), parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
