"""What one call asks of the authorizer: its own request, and the questions that its handler asks on the way.

Some are not to be seen from outside, so no grant can be made of them: ``bind`` and ``escalate`` on roles, ``approve`` and
``sign`` on signers.
"""

from collections.abc import Iterator
from dataclasses import replace

from podfacts.rights.request import Request

CREATED = 201
DENIED = (401, 403)
# Priority and fairness turns a call away before the authorizer is asked (apiserver/pkg/server/config.go).
UNASKED = 429
# A browser can open a websocket by GET only; since 1.35 it needs create as a POST does
# (kubernetes/pkg/registry/core/pod/rest/subresources.go, AuthorizePodWebsocketUpgradeCreatePermission).
STREAMS = ("exec", "attach", "portforward")


def questions(request: Request, code: int) -> Iterator[Request]:
    """The requests that were allowed when the call was answered with the code."""
    # What was not there was created under the name in the URL (apiserver/pkg/endpoints/handlers/patch.go and update.go,
    # createAuthorizerAttributes).
    upserted = request.verb in ("patch", "update") and code == CREATED
    if upserted and request.resource == "namespaces":
        # No Role can be in it before it is there; and create is asked for without it.
        request = replace(request, namespace="")
    yield request
    streamed = request.verb == "get" and _streams(request) and code not in DENIED
    if not request.path and (upserted or streamed):
        yield replace(request, verb="create")


def _streams(request: Request) -> bool:
    return not request.group and request.resource == "pods" and request.subresource in STREAMS
