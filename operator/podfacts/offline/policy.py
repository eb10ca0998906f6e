"""``podfacts policy``: a profile as admission policies, for clusters that want no webhook. See ``docs/policy.md``."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from podfacts.core.policy import policies
from podfacts.core.profile import DEFAULT
from podfacts.core.refusal import BadInput, Refused
from podfacts.offline.profile_files import read_profiles

HEADING = """\
# Podfacts profile {name}, hash {hash}, as admission policies of Kubernetes 1.36 or newer, without the webhook.
# Printed by "podfacts policy", which says the same for the same profile: print it again rather than edit it.
"""

WIDTH = 80


class _Dumper(yaml.SafeDumper):
    """CEL in block scalars, as it is read best."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value or len(value) > WIDTH else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def policy_text(name: str | None, files: Sequence[str]) -> str:
    """The policies of the profile ``name``; without one, of the only profile in ``files``, or the built-in one.

    Raises ``BadInput``.
    """
    profiles = read_profiles(files)
    if name is None:
        written = [each for each, profile in profiles.items() if profile is not DEFAULT] or [DEFAULT.name]
        if len(written) > 1:
            raise BadInput(f"name the profile: one of {', '.join(sorted(written))}")
        (name,) = written
    if name not in profiles:
        raise BadInput(f"there is no profile {name!r}: name one of {', '.join(sorted(profiles))}")
    profile = profiles[name]
    try:
        found: Iterable[Any] = policies(profile)
    except Refused as refused:
        raise BadInput(f"profile {name}: {refused}") from refused
    dumped = yaml.dump_all(found, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=1000)
    return HEADING.format(name=name, hash=profile.hash) + dumped


class _NoAliases(_Dumper):
    """Equal parts are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether ``data`` is written where it stands: always."""
        del data
        return True
