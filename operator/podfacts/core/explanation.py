"""What became of one pod: what it asked for, what it got, and what it lacks and why. From what was read, nothing is asked.

Reading ``PARTS`` tells what is looked at, and in what order. Where something could not be read, the line says so, and
what follows does without it.
"""

from collections.abc import Callable, Iterable, Iterator

from podfacts.core.carried import NODE_FACTS, runtime
from podfacts.core.explained import Line, Seen, State, Subject, Webhook
from podfacts.core.explained_containers import env, files, told
from podfacts.core.explained_facts import carried_facts, waiting
from podfacts.core.facts import NODE_KINDS
from podfacts.core.missed import reason_missed, told_missed
from podfacts.core.observed import Observed, observed
from podfacts.core.options import INJECT, INJECTED, options
from podfacts.core.refusal import Refused
from podfacts.core.selector import selects

PODS_WEBHOOK = "pods.podfacts.dev"
# Asked when the one above gave no answer. It decides what becomes of a pod that nobody answers for.
AGAIN_WEBHOOK = "pods-again.podfacts.dev"
NODES_WEBHOOK = "nodes.podfacts.dev"
AGAIN = "delete the pod, and its owner makes a new one"

Part = Callable[[Subject], Iterable[Line]]


def explanation(seen: Seen) -> list[Line]:
    """The lines, from the label to the last fact."""
    pod = observed(seen.pod)
    label = seen.pod["metadata"].get("labels", {}).get(INJECT)
    try:
        asked = options(seen.pod, seen.catalogue.profiles)
    except Refused as refused:
        said = f"{INJECT}={label}: asks for the profile {pod.profile}"
        return [
            Line("label", "ok", said),
            *_refused(seen, pod, refused),
            *_webhook(seen, injected=bool(pod.record)),
        ]
    if isinstance(asked, str):
        how = f': label the pod template {INJECT}: "true" to get them' if label is None else ""
        return [Line("label", "note", f"{asked}: the pod asks for no facts{how}")]
    subject = Subject(seen, pod, asked)
    return [line for part in PARTS for line in part(subject)]


def _refused(seen: Seen, pod: Observed, refused: Refused) -> Iterator[Line]:
    """A pod that would not get through today: its profile is gone, or it was labelled afterwards."""
    if pod.record and pod.profile not in seen.catalogue.profiles:
        why = (
            seen.unseen.get("profiles")
            or "there is no such object: unless it comes from a file, its facts are not kept any more"
        )
        said = f"it was injected by the profile {pod.profile}, hash {pod.record.hash}, which is not seen here: {why}"
        yield Line("profile", "unknown", said)
    else:
        yield Line("profile", "no", f"{refused}")
        if verdict := seen.catalogue.verdicts.get(pod.profile):
            yield Line("profile", "no", f"the object {pod.profile} is not in force: {verdict.message}")


def _label(subject: Subject) -> Iterator[Line]:
    label = subject.seen.pod["metadata"]["labels"][INJECT]
    yield Line("label", "ok", f"{INJECT}={label}: asks for the profile {subject.asked.profile.name}")


def _profile(subject: Subject) -> Iterator[Line]:
    seen, profile = subject.seen, subject.asked.profile
    verdict = seen.catalogue.verdicts.get(profile.name)
    if verdict is None:
        yield Line("profile", "ok", f"{profile.name} is the built-in one, hash {profile.hash}")
        if why := seen.unseen.get("profiles"):
            yield Line("profile", "unknown", f"whether an object takes its place is not seen: {why}")
    elif verdict.accepted:
        said = f"{profile.name} is in force, generation {verdict.in_force_generation}, hash {profile.hash}"
        yield Line("profile", "ok", said)
    else:
        yield Line("profile", "note", f"the last edit of {profile.name} is not in force: {verdict.message}")
    if subject.outdated and subject.pod.record:
        said = f"it has changed since the pod was made (hash {subject.pod.record.hash} then): {AGAIN} with the new one"
        yield Line("profile", "note", said)


def _webhook_of(subject: Subject) -> Iterable[Line]:
    return _webhook(subject.seen, injected=subject.pod.record is not None)


def _webhook(seen: Seen, *, injected: bool) -> Iterator[Line]:
    """For a pod that has its facts, what is wrong today is only worth knowing."""
    bad: State = "note" if injected else "no"
    if seen.webhooks is None:
        yield Line("webhook", "unknown", f"not seen: {seen.unseen.get('webhooks', '')}")
        return
    found = [each for each in seen.webhooks if each.tree["name"] == PODS_WEBHOOK]
    if not found:
        said = f"no MutatingWebhookConfiguration has {PODS_WEBHOOK}: new pods get no facts: install it (podfacts check)"
        yield Line("webhook", bad, said)
    for each in found:
        policy = _policy(seen.webhooks, each)
        who = f"{PODS_WEBHOOK} of MutatingWebhookConfiguration {each.configuration}"
        labels = seen.namespace_labels
        if not each.tree.get("clientConfig", {}).get("caBundle"):
            yield Line(
                "webhook", bad, f"{who} has no caBundle, so no call to it succeeds: see podfacts check"
            )
        if labels is None:
            why = seen.unseen.get("namespace", "")
            yield Line("webhook", "unknown", f"whether {who} is asked in this namespace is not seen: {why}")
        elif not selects(each.tree.get("namespaceSelector"), labels):
            yield Line(
                "webhook", bad, f"{who} is not asked in this namespace: its namespaceSelector leaves it out"
            )
        else:
            yield Line("webhook", "ok", f"{who} is asked in this namespace, failurePolicy {policy}")


def _policy(webhooks: Iterable[Webhook], first: Webhook) -> str:
    """What happens when nobody answers: both entries have to let the pod pass."""
    entries = [
        each.tree
        for each in webhooks
        if each.configuration == first.configuration and each.tree["name"] in (PODS_WEBHOOK, AGAIN_WEBHOOK)
    ]
    return "Fail" if any(each.get("failurePolicy", "Fail") == "Fail" for each in entries) else "Ignore"


def _record(subject: Subject) -> Iterator[Line]:
    """What was done when the pod was created, by its own record; or why nothing was."""
    pod, seen = subject.pod, subject.seen
    if pod.record:
        yield Line("injected", "ok", f"by the profile {pod.record.profile}, hash {pod.record.hash}")
        record = told(seen.pod)
        for what in ("kept", "skipped"):
            yield from (Line(what, "note", each) for each in record.get(what, ()))
        if access := record.get("access", ()):
            yield Line("access", "ok", f"to the API server by {access[0]}")
        return
    if reason := reason_missed(pod, seen.catalogue.profiles):
        yield Line("missed", "no", f"{told_missed(pod, reason)} (there is no annotation {INJECTED})")
    else:
        yield Line("missed", "note", "nobody gives facts to this pod: see its namespace, or it has ended")


def _carried(subject: Subject) -> Iterator[Line]:
    seen, profile = subject.seen, subject.asked.profile
    if subject.pod.record is None:
        return
    wanted = runtime(seen.pod, profile, node=seen.node, namespace=seen.namespace, owner=seen.owner)
    for state, text in carried_facts(seen.pod, profile, wanted, seen.unseen):
        yield Line("fact", state, text)


def _at_binding(subject: Subject) -> Iterator[Line]:
    """Whether the namespace has its pods' node facts told before their containers start."""
    seen = subject.seen
    late = [each for each in subject.asked.profile.carried if each.kind in NODE_KINDS and each.env]
    if not late:
        return
    labels = seen.namespace_labels
    if labels is None:
        yield Line("binding", "unknown", f"whether the namespace has {NODE_FACTS}=enabled is not seen")
    elif labels.get(NODE_FACTS) != "enabled":
        # Containers that wait for one fact find all of them: they are written at once.
        names = "" if subject.asked.profile.gate else ", ".join(str(each.env) for each in late)
        said = f"the namespace lacks the label {NODE_FACTS}=enabled"
        if names:
            yield Line(
                "binding",
                "no",
                f"{said}, so these are empty when containers start: {names}: ask for it, then {AGAIN}",
            )
        else:
            yield Line(
                "binding", "note", f"{said}: containers wait until the controller has written the facts"
            )
    else:
        yield Line(
            "binding", "ok", f"the namespace has {NODE_FACTS}=enabled: facts of the node are told at binding"
        )


def _waiting(subject: Subject) -> Iterator[Line]:
    for text in waiting(subject.seen.pod, subject.asked.profile):
        yield Line("waiting", "no", text)


PARTS: tuple[Part, ...] = (
    _label,
    _profile,
    _webhook_of,
    _record,
    env,
    files,
    _carried,
    _at_binding,
    _waiting,
)
