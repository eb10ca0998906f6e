"""AdmissionReview in, AdmissionReview out: bytes to bytes, no I/O, and an answer to whatever was sent.

A pod's own problem is an answer, never an error: Kubernetes turns a patch that does not apply into a 500 whatever the
failure policy says. A bug of ours costs the pod its facts, with a warning, and never the pod. The exact response rules
are those of ``k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go``.
"""

import traceback
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from podfacts.core.carried import Surroundings, stamp, topology
from podfacts.core.facts import Fact
from podfacts.core.injection import Injection, inject, stripped
from podfacts.core.options import NoProfile
from podfacts.core.patch import Operation, pointer
from podfacts.core.pod import mapping
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
POD = {"group": "", "version": "v1", "kind": "Pod"}
BINDING = {"group": "", "version": "v1", "kind": "Binding"}

# Kubernetes cuts warnings to 256 characters once all of them pass 4096 (apiserver/pkg/endpoints/filters/warning.go).
WARNING_LENGTH = 256
WARNINGS = 16
MESSAGE_LENGTH = 1024
# Nobody but etcd can tell how large a pod is once it is stored. All that it says is a 500, "request is too large".
LARGE = 1024 * 1024
TOO_LARGE = "with its facts the pod may be more than the 1.5 MiB that Kubernetes stores; if it is refused, make it smaller"

Outcome = Literal["injected", "stamped", "unchanged", "skipped", "denied", "bad_request", "error"]


@dataclass(frozen=True, slots=True)
class World:
    """What a review goes by: the profiles in force, the node facts of all of them, and what is known of the cluster.

    ``topology`` are the labels that facts take from the pod, where the API server sets them.
    ``admit_unknown`` lets a pod through, without facts, that names a profile that is not in force.
    """

    profiles: Mapping[str, Profile]
    node_facts: tuple[Fact, ...] = ()
    topology: tuple[str, ...] = ()
    around: Surroundings = field(default_factory=lambda: Surroundings({}, {}))
    admit_unknown: bool = False


class Answer(NamedTuple):
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


def review(body: bytes, world: World) -> Answer:
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
        return _answer(request, world, named, len(body))
    except Refused as refused:
        message = _clean(f"podfacts: {refused}", MESSAGE_LENGTH)
        status = {"code": 422, "reason": "Invalid", "message": message}
        return _reply(named, {"allowed": False, "status": status}, "denied", "bad_input", detail=message)
    except Exception:  # noqa: BLE001 - the one door: a bug of ours must not cost anybody a pod
        warning = "podfacts did not inject: an error of its own, see the log of podfacts-webhook"
        detail = traceback.format_exc()
        return _reply(named, _patched(_forgeries(request), [warning]), "error", "bug", detail=detail)


def _answer(request: Mapping[str, Any], world: World, named: dict[str, str], size: int) -> Answer:
    """A pod that is being created is ours, and one that is bound to a node; anything else is let through as it is."""
    # Of pods/binding, and of the older bindings alike.
    if request.get("kind") == BINDING:
        return _bound(request, world, named)
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
    try:
        done = inject(pod, world.profiles, world.around, named["namespace"])
    except NoProfile as missing:
        if not world.admit_unknown:
            raise
        warning = f"podfacts: {missing}: it runs without its facts"
        return _reply(named, _patched(stripped(pod), [warning]), "skipped", "no_profile")
    if done.outcome == "skipped":
        return _reply(named, {"allowed": True}, "skipped", "not_asked", detail=done.reason)
    return _injected(named, done, size)


def _forgeries(request: Mapping[str, Any]) -> tuple[Operation, ...]:
    """What takes away forged facts of a pod that goes without ours, if that much can be made of the request."""
    pod = request.get("object")
    if request.get("kind") != POD or request.get("operation") != "CREATE" or not isinstance(pod, dict):
        return ()
    try:
        return stripped(pod)
    except Refused:
        return ()


def _bound(request: Mapping[str, Any], world: World, named: dict[str, str]) -> Answer:
    """The facts of the node, as annotations of the Binding: the API server merges them as it sets nodeName.

    Nothing is refused here, or the pod would stay unbound, and nobody is asked.
    """
    binding = request.get("object")
    if not isinstance(binding, dict) or request.get("operation") != "CREATE":
        return _let_through(named, "no_object", "")
    if not isinstance(binding.get("metadata"), dict):  # A patch would have no place to go.
        return _let_through(named, "bad_binding", "")
    try:
        done = stamp(binding, world.node_facts, world.around.nodes)
        patch = _merged(binding, "annotations", done.annotations)
        # The API server sets zone and region at pods/binding, and does not know of the older way to bind.
        if mapping(request, "resource").get("resource") == "bindings":
            patch += _merged(binding, "labels", topology(binding, world.topology, world.around.nodes))
    except Refused:
        return _let_through(named, "bad_binding", "")  # The API server's to refuse.
    patch += [Operation(op="remove", path=pointer("metadata", "annotations", key)) for key in done.dropped]
    outcome: Outcome = "stamped" if patch else "unchanged"
    warnings = [f"podfacts: {done.cut} facts of the node are too long together"] if done.cut else []
    return _reply(named, _patched(patch, warnings), outcome, done.reason, injected=len(done.annotations))


def _merged(binding: Mapping[str, Any], part: str, values: Mapping[str, str]) -> list[Operation]:
    """The operations that add ``values`` to the Binding's annotations or labels, where they do not stand there."""
    there = mapping(mapping(binding, "metadata"), part)
    values = {key: value for key, value in values.items() if there.get(key) != value}
    if not there:
        return [Operation(op="add", path=pointer("metadata", part), value=values)] if values else []
    return [
        Operation(op="add", path=pointer("metadata", part, key), value=value) for key, value in values.items()
    ]


def _injected(named: dict[str, str], done: Injection, size: int) -> Answer:
    shown = [f"podfacts: {each}" for each in done.warnings[:WARNINGS]]
    if size > LARGE and done.patch:
        shown.insert(0, f"podfacts: a review of {size // 1024} KiB: {TOO_LARGE}")
    if len(done.warnings) > WARNINGS:
        shown.append(f"podfacts: and {len(done.warnings) - WARNINGS} more: see podfacts.dev/injected")
    response = {**_patched(done.patch, shown), "auditAnnotations": {"profile": done.profile}}
    return _reply(named, response, done.outcome, "ok", injected=done.injected, kept=len(done.kept))


def _patched(patch: Sequence[Operation], warnings: Sequence[str]) -> dict[str, Any]:
    response: dict[str, Any] = {"allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = b2a_base64(orjson.dumps(patch), newline=False).decode()
    if warnings:
        response["warnings"] = [_clean(each, WARNING_LENGTH) for each in warnings]
    return response


def _let_through(named: dict[str, str], reason: str, warning: str) -> Answer:
    return _reply(named, _patched((), [warning] if warning else ()), "skipped", reason)


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
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
