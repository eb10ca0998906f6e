"""Profiles from files: the built-in ``default``, and what the admin wrote beside or over it."""

from collections.abc import Iterable
from pathlib import Path

from podfacts.profile import DEFAULT, Profile, parse_profile
from podfacts.refusal import BadInput, Refused
from podfacts.yaml_documents import documents
from podfacts.yaml_nodes import Broken, locate


def read_profiles(files: Iterable[str]) -> dict[str, Profile]:
    """The profiles by name. Raises ``BadInput`` (``file:line: reason``): one bad file refuses them all."""
    found = {DEFAULT.name: DEFAULT}
    written: dict[str, str] = {}
    for file in files:
        for profile, where in _profiles(file):
            if profile.name in written:
                raise BadInput(f"{where}: profile {profile.name} stands in {written[profile.name]} already")
            written[profile.name] = where
            found[profile.name] = profile
    return found


def _profiles(file: str) -> Iterable[tuple[Profile, str]]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 text") from error
    some = False
    for document in documents(text):
        some = True
        if isinstance(document, Broken):
            raise BadInput(f"{file}:{_line(text, document.offset)}: {document.reason}")
        try:
            profile = parse_profile(document.tree)
        except Refused as refused:
            line = _line(text, locate(document.root, refused.path))
            raise BadInput(f"{file}:{line}: {refused}") from refused
        yield profile, f"{file}:{_line(text, document.root.start)}"
    if not some:
        raise BadInput(f"{file}: holds no Profile")


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
