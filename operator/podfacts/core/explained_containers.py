"""What one pod's containers have of their profile: env and files, entry by entry."""

import json
from collections.abc import Iterator, Sequence

from podfacts.core.ambassador import NAME
from podfacts.core.env import same_source, unfit
from podfacts.core.explained import Line, Subject
from podfacts.core.options import INJECTED
from podfacts.core.pod import Container, Tree, containers, objects
from podfacts.core.volume import VOLUME


def told(pod: Tree) -> dict[str, list[str]]:
    """The pod's record, each part of it as a list of texts; nothing when it is not what podfacts wrote."""
    try:
        found = json.loads(pod["metadata"]["annotations"][INJECTED])
    except ValueError:
        return {}
    texts = {key: [value] if isinstance(value, str) else value for key, value in found.items()}
    return {key: [str(each) for each in value] for key, value in texts.items() if isinstance(value, list)}


def env(subject: Subject) -> Iterator[Line]:
    """A line for each variable of each container that was to get it."""
    profile = subject.asked.profile
    left_out = unfit(subject.seen.pod, profile.env)
    for container in _chosen(subject):
        written = {each["name"]: each for each in objects(container.spec, "env", container.path)}
        for fact in profile.facts:
            if fact.env is None or fact.env in left_out:
                continue
            name = f"{container.name}: {fact.env}"
            entry = written.get(fact.env)
            if entry is None:
                yield _lacking(subject, "env", f"{name} is not there")
            elif same_source(entry.get("valueFrom"), fact.source):
                yield Line("env", "ok", f"{name} from {fact.kind} {fact.key}")
            else:
                yield Line("env", "note", f"{name} is the author's own")


def files(subject: Subject) -> Iterator[Line]:
    """A line for each container's files, and one for each that is not there."""
    profile = subject.asked.profile
    volumes = subject.seen.pod["spec"].get("volumes") or ()
    items = next(
        (each.get("downwardAPI", {}).get("items", ()) for each in volumes if each["name"] == VOLUME), ()
    )
    there = {each["path"] for each in items}
    for container in _chosen(subject):
        wanted = {each["path"] for each in (*profile.pod_files, *profile.container_files(container.name))}
        if not wanted:
            continue
        mounts = [
            each["mountPath"] for each in container.spec.get("volumeMounts") or () if each["name"] == VOLUME
        ]
        if not mounts:
            kept = any(each.startswith(f"{container.name}: ") for each in _kept(subject))
            said = f"{container.name}: no volume {VOLUME} is mounted"
            yield Line("files", "note", said) if kept else _lacking(subject, "files", said)
            continue
        missing = sorted(wanted - there)
        yield Line("files", "ok", f"{container.name}: {len(wanted) - len(missing)} at {mounts[0]}")
        yield from (
            _lacking(subject, "files", f"{container.name}: {mounts[0]}/{each} is not there")
            for each in missing
        )


def _kept(subject: Subject) -> Sequence[str]:
    return told(subject.seen.pod).get("kept", ()) if subject.pod.record else ()


def _lacking(subject: Subject, part: str, said: str) -> Line:
    if subject.outdated:
        return Line(part, "note", f"{said}: it is new in the profile")
    return Line(part, "no", said)


def _chosen(subject: Subject) -> Iterator[Container]:
    asked = subject.asked
    for each in containers(subject.seen.pod) if subject.pod.record else ():
        sidecar = asked.access == "ambassador" and each.name == NAME
        if not sidecar and each.name not in asked.skip and (not asked.only or each.name in asked.only):
            yield each
