"""What every measurement writes down beside its figures, and where it puts them."""

import argparse
import json
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

MODULES = re.compile(r"^\s*(?:require )?(\S+/\S+) (v\S+)", re.MULTILINE)


def machine(**more: Any) -> dict[str, Any]:
    """What the figures belong to. Called before the first of them: the load is that of then."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        **more,
    }


def go() -> str:
    """The version of Go that is installed."""
    said = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2].removeprefix("go")


def required(file: Path, module: str) -> str:
    """The version of a module that a go.mod asks for."""
    return dict(MODULES.findall(file.read_text())).get(module, "")


def written(asked: argparse.Namespace, whole: dict[str, Any], text: str, picture: str = "") -> None:
    """Print the tables, and write the files that were asked for."""
    print(text)
    contents = {"markdown": text, "json": json.dumps(whole, indent=1) + "\n", "svg": picture}
    for kind, content in contents.items():
        path: Path | None = getattr(asked, kind, None)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
