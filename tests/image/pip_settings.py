"""A build has to reach the package index the way this machine does, and the Dockerfile must not know how.

So whatever this machine's own pip is told (files and environment) is collected into one pip.conf, which is mounted into
the build's steps together with the files that it points to, read-only. A mount is never part of a layer.
"""

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

# What says where packages come from and how to get there. Anything else (target, user, require-virtualenv...) is about this
# machine's own Python and would break the build's.
REACHING = (
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "trusted-host",
    "cert",
    "client-cert",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
)
# Where programs on this machine look for the certificates of authorities, in pip's own order.
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def volumes(folder: Path, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Write pip.conf into the folder; return it and the files it points to as volumes for the build's steps."""
    settings = collect(environment)
    path = folder / "pip.conf"
    path.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    pointed = sorted(
        {str(Path(word)) for value in settings.values() for word in value.split() if _is_file(word)}
    )
    return [f"{path}:/etc/pip.conf:ro", *(f"{word}:{word}:ro" for word in pointed)]


def collect(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return this machine's settings; precedence as pip has it: environment > user's file > machine's file."""
    settings: dict[str, str] = {}
    for path in _files(environment):
        parser = configparser.RawConfigParser()
        parser.read(path)
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= dict(parser.items(section))
    settings |= {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("PIP_")
    }
    reaching = {key: " ".join(settings[key].split()) for key in REACHING if settings.get(key, "").strip()}
    authorities = (*(environment.get(name, "") for name in CERTIFICATES), *SYSTEM_CERTIFICATES)
    if found := next((path for path in authorities if path and Path(path).is_file()), None):
        reaching.setdefault("cert", found)
    return reaching


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environment.get("HOME", "/root"))
    own = environment.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return
    for folder in reversed(environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if own:
        yield Path(own)


def _is_file(word: str) -> bool:
    return bool(re.fullmatch(r"/[^:,]+", word)) and Path(word).exists()
