"""How a command ends: its result on stdout, or one clear line on stderr and an exit code."""

import sys
from typing import NoReturn

import click

BAD_INPUT = 2


def write(text: str) -> None:
    """Put the result on stdout; one line on stderr when it does not go there."""
    try:
        # Bytes, not text: what was not changed goes out exactly as it came, line ends included.
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # Whoever reads has seen enough: click knows.
    except OSError as error:
        refuse(f"podfacts: cannot write the result: {error.strerror or error}")


def refuse(message: str) -> NoReturn:
    """End with 2: bad usage, bad input, or no cluster."""
    click.echo(message, err=True)
    raise SystemExit(BAD_INPUT)
