"""What an opted-in pod says it needs of the API server: its profile's ``reads``, in the pod's own namespace.

A declaration, for those who grant rights when no log says more. Nothing grants it by itself.
"""

from collections.abc import Mapping

from podfacts.core.options import options
from podfacts.core.pod import Tree
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused
from podfacts.rights.request import Request
from podfacts.rights.wanted import reads


def declared(pod: Tree, profiles: Mapping[str, Profile]) -> tuple[Request, ...]:
    """Nothing when the pod asks for no API access, or is not one that podfacts would take."""
    try:
        asked = options(pod, profiles)
    except Refused:
        return ()
    if isinstance(asked, str) or not asked.access:
        return ()
    namespace = str(pod["metadata"].get("namespace", ""))
    words = asked.profile.api_access.reads
    return tuple(each for word in words for each in reads(word, (), namespace, watch=False))
