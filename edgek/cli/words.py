"""Values of options as kubectl takes them: ``5m``, ``--wait=false``."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Duration(click.ParamType[float]):
    """``90s``, ``1h30m`` as seconds; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        text = str(value)
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _SECONDS[unit] for number, unit in parts)
        try:
            return float(text)
        except ValueError:
            self.fail(f"{text!r} is not a duration such as 90s or 5m", param, ctx)


DURATION = Duration()


def switch(name: str, *, default: bool, help: str) -> Callable[[Command], Command]:
    """``--wait``, ``--wait=true`` and ``--wait=false``."""
    return click.option(
        name, type=click.BOOL, is_flag=False, flag_value=True, default=default, help=help
    )
