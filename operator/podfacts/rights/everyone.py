"""What every service account may do without a grant. Literal tables; a test holds each of them against a real API server."""

from podfacts.rights.request import Request
from podfacts.rights.rules import url_matches

# system:discovery, system:public-info-viewer and system:service-account-issuer-discovery: get of these, and no head.
EVERYONES_URLS = frozenset(
    (
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/",
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/openid/v1/jwks",
        "/openid/v1/jwks/",
        "/readyz",
        "/version",
        "/version/",
    )
)
# system:basic-user: what may I do, and who am I.
EVERYONES_REVIEWS = frozenset(
    (
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
    )
)


def everyone_may(request: Request) -> bool:
    """Whether Kubernetes' own roles for everybody allow it to every service account."""
    if request.path:
        return request.verb == "get" and any(url_matches(each, request.path) for each in EVERYONES_URLS)
    kind = (request.group, request.resource)
    return request.verb == "create" and not request.subresource and kind in EVERYONES_REVIEWS
