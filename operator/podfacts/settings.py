"""Options of the servers: what may be typed, and may be set in the environment as well."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import click

Level = Literal["debug", "info", "warning", "error"]
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """A length of time as Kubernetes users write it: ``90s``, ``10m``, ``24h``, ``365d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration, or a usage error that says how to write one."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d+)([smhd])", str(value))
        if not match or int(match[1]) == 0:
            self.fail(f"{value!r} is no duration: write a number with s, m, h or d, such as 24h", param, ctx)
        return timedelta(**{UNITS[match[2]]: int(match[1])})


def setting(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    """An option of a server, which the environment may set too, as ``PODFACTS_PORT``."""
    variable = "PODFACTS_" + names[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, show_default=True, **attributes)
