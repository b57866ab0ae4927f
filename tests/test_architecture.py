"""The house rules that a program can check: who imports whom, how long, and said what for."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("edgek", "server", "agent", "netplug")
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def test_the_import_contracts_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 broken" in done.stdout


def test_every_module_says_what_it_is_for() -> None:
    silent = [name(p) for p in MODULES if not ast.get_docstring(ast.parse(p.read_bytes()))]
    assert not silent, "each needs a docstring: its place in the flow, what it does not do"


def test_modules_are_short_enough_to_be_read() -> None:
    sizes = {name(p): len(p.read_text().splitlines()) for p in MODULES}
    assert not {p: n for p, n in sizes.items() if n > MOST_LINES}, "split these"


def test_functions_are_short_enough_to_be_read() -> None:
    sizes = {f: n for path in MODULES for f, n in functions(path)}
    assert not {f: n for f, n in sizes.items() if n > MOST_LINES_OF_A_FUNCTION}, "split these"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{name(path)}:{node.name}", node.end_lineno - node.lineno + 1
