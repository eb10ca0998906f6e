"""Profiles from files: the built-in ``default``, and what the admin wrote beside or over it."""

from collections.abc import Iterable, Iterator
from io import BytesIO

from podfacts.core.profile import DEFAULT, Profile, parse_profile
from podfacts.core.refusal import Refused
from podfacts.offline.manifests import Problem, read, refusal
from podfacts.yamltext.documents import documents
from podfacts.yamltext.nodes import Broken, locate


def read_profiles(files: Iterable[str]) -> dict[str, Profile]:
    """The profiles by name. Raises ``BadInput`` (``file:line: reason``): one bad file refuses them all."""
    found = {DEFAULT.name: DEFAULT}
    problems: list[Problem] = []
    written: dict[str, Problem] = {}
    for file in files:
        for profile, where in _profiles(file):
            if profile is None:
                problems.append(where)
            elif first := written.get(profile.name):
                reason = f"profile {profile.name} stands in {first.name}:{first.line} already"
                problems.append(Problem(where.name, where.line, reason))
            else:
                found[profile.name], written[profile.name] = profile, where
    if problems:
        raise refusal(problems)
    return found


def _profiles(file: str) -> Iterator[tuple[Profile | None, Problem]]:
    """Each profile with its place; ``None`` with what is wrong instead of one."""
    if file == "-":
        yield None, Problem(file, 0, "a profile is read from a file")
        return
    for manifest in read([file], BytesIO()):
        if isinstance(manifest, Problem):
            yield None, manifest
            continue
        found = list(documents(manifest.text))
        if not found:
            yield None, Problem(manifest.name, 0, "holds no Profile")
        for document in found:
            if isinstance(document, Broken):
                yield None, manifest.problem(document.offset, document.reason)
                continue
            try:
                profile = parse_profile(document.tree)
            except Refused as refused:
                yield None, manifest.problem(locate(document.root, refused.path), str(refused))
            else:
                yield profile, manifest.problem(document.root.start, "")
