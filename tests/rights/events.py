"""Audit events as an API server of 1.36 writes them, at the level Metadata."""

import json
from typing import Any

USER = "system:serviceaccount:shop:web"


def event(verb: str, uri: str, code: int = 200, user: str = USER, **more: Any) -> dict[str, Any]:
    """An answered call, allowed unless the code says otherwise; ``ref`` is ``resource``, ``namespace``, ... of objectRef."""
    reference = {
        key: more.pop(key)
        for key in ("resource", "namespace", "name", "apiGroup", "subresource")
        if key in more
    }
    decision = {
        "authorization.k8s.io/decision": "forbid" if code == 403 else "allow",
        "authorization.k8s.io/reason": "why",
    }
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "requestURI": uri,
        "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"]},
        **({"objectRef": {**reference, "apiVersion": "v1"}} if reference else {}),
        "responseStatus": {"metadata": {}, "code": code},
        "annotations": decision,
        **more,
    }  # fmt: skip


def line(tree: Any) -> bytes:
    return json.dumps(tree).encode() + b"\n"
