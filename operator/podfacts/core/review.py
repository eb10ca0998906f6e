"""AdmissionReview in, AdmissionReview out: bytes to bytes, no I/O, and an answer to whatever was sent.

A pod's own problem is an answer, never an error: Kubernetes turns a patch that does not apply into a 500 whatever the
failure policy says. A bug of ours costs the pod its facts, with a warning, and never the pod. The exact response rules
are those of ``k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go``.
"""

import base64
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from podfacts.core.injection import Injection, inject
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
POD = {"group": "", "version": "v1", "kind": "Pod"}

# Kubernetes cuts warnings to 256 characters once all of them pass 4096 (apiserver/pkg/endpoints/filters/warning.go).
WARNING_LENGTH = 256
WARNINGS = 16
MESSAGE_LENGTH = 1024

Outcome = Literal["injected", "unchanged", "skipped", "denied", "bad_request", "error"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back, and what to count and log of it.

    ``status`` is the HTTP status; ``body`` is JSON when that is 200, else one plain sentence. ``outcome`` and
    ``reason`` come from small fixed sets, so they may be metric labels; the rest is whatever the sender wrote.
    """

    status: int
    body: bytes
    outcome: Outcome
    reason: str
    uid: str = ""
    namespace: str = ""
    name: str = ""
    injected: int = 0
    kept: int = 0
    detail: str = ""


def review(body: bytes, profiles: Mapping[str, Profile]) -> Answer:
    """The answer to the request ``body``. Never raises."""
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _bad("not_json", f"the body is not JSON: {error}")
    if not isinstance(sent, dict) or sent.get("kind") != KIND or sent.get("apiVersion") != API_VERSION:
        return _bad("not_a_review", f"the body must be a {KIND} of {API_VERSION}")
    request = sent.get("request")
    if not isinstance(request, dict):
        return _bad("no_request", "the review holds no request")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        return _bad("no_uid", "the request has no uid")
    named = {"uid": uid, "namespace": _said(request, "namespace"), "name": _name(request)}
    try:
        return _answer(request, profiles, named)
    except Refused as refused:
        message = _clean(f"podfacts: {refused}", MESSAGE_LENGTH)
        status = {"code": 422, "reason": "Invalid", "message": message}
        return _reply(named, {"allowed": False, "status": status}, "denied", "bad_input", detail=message)
    except Exception:  # noqa: BLE001 - the one door: a bug of ours must not cost anybody a pod
        warning = "podfacts did not inject: an error of its own, see the log of podfacts-webhook"
        return _reply(
            named, {"allowed": True, "warnings": [warning]}, "error", "bug", detail=traceback.format_exc()
        )


def _answer(request: Mapping[str, Any], profiles: Mapping[str, Profile], named: dict[str, str]) -> Answer:
    """Only a pod that is being created is ours; anything else is let through as it is."""
    if request.get("kind") != POD:
        return _let_through(
            named, "unknown_kind", "podfacts injects pods only: check the rules of its webhook"
        )
    if request.get("subResource"):
        return _let_through(
            named, "unknown_subresource", "podfacts injects pods, and none of their subresources"
        )
    if request.get("operation") != "CREATE":
        return _let_through(named, "not_create", "")
    pod = request.get("object")
    if not isinstance(pod, dict):
        return _let_through(named, "no_object", "podfacts found no pod in the request")
    done = inject(pod, profiles)
    if done.outcome == "skipped":
        return _reply(named, {"allowed": True}, "skipped", "not_asked", detail=done.reason)
    return _injected(named, done)


def _injected(named: dict[str, str], done: Injection) -> Answer:
    response: dict[str, Any] = {"allowed": True, "auditAnnotations": {"profile": done.profile}}
    if done.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(done.patch)).decode()
    if done.warnings:
        shown = [_clean(f"podfacts: {each}", WARNING_LENGTH) for each in done.warnings[:WARNINGS]]
        if len(done.warnings) > WARNINGS:
            shown.append(f"podfacts: and {len(done.warnings) - WARNINGS} more: see podfacts.dev/injected")
        response["warnings"] = shown
    return _reply(named, response, done.outcome, "ok", injected=done.injected, kept=len(done.kept))


def _let_through(named: dict[str, str], reason: str, warning: str) -> Answer:
    response = {"allowed": True, "warnings": [warning]} if warning else {"allowed": True}
    return _reply(named, response, "skipped", reason)


def _reply(
    named: dict[str, str],
    response: Mapping[str, Any],
    outcome: Outcome,
    reason: str,
    *,
    injected: int = 0,
    kept: int = 0,
    detail: str = "",
) -> Answer:
    body = orjson.dumps(
        {"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": named["uid"], **response}}
    )
    return Answer(200, body, outcome, reason, **named, injected=injected, kept=kept, detail=detail)


def _bad(reason: str, sentence: str) -> Answer:
    return Answer(400, sentence.encode(), "bad_request", reason, detail=sentence)


def _said(request: Mapping[str, Any], key: str) -> str:
    value = request.get(key)
    return value if isinstance(value, str) else ""


def _name(request: Mapping[str, Any]) -> str:
    """The pod's name for the log. With ``generateName`` there is none yet: the prefix is shown with a star."""
    if name := _said(request, "name"):
        return name
    pod = request.get("object")
    metadata = pod.get("metadata") if isinstance(pod, dict) else None
    prefix = _said(metadata, "generateName") if isinstance(metadata, dict) else ""
    return f"{prefix}*" if prefix else ""


def _clean(text: str, length: int) -> str:
    """Kubernetes drops a warning that holds a control character: show a sign in its place."""
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
