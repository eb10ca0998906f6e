"""What the tests of offline injection share: the profile, and a run as ``podfacts inject`` makes it."""

import io
from pathlib import Path

import yaml

from podfacts.core.profile import parse_profile
from podfacts.offline.inject import Output, Rendered, inject_sources

HERE = Path(__file__).parent
PROFILES = {"default": parse_profile(yaml.safe_load((HERE / "profile.yaml").read_text()))}


def injected(text: str | bytes, output: Output = "yaml") -> Rendered:
    """What comes out when ``text`` is given on stdin."""
    data = text.encode() if isinstance(text, str) else text
    return inject_sources(["-"], PROFILES, output, io.BytesIO(data))


def injected_files(*sources: str | Path, output: Output = "yaml") -> Rendered:
    """What comes out for files and folders."""
    return inject_sources([str(each) for each in sources], PROFILES, output, io.BytesIO())
