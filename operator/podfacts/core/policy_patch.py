"""What the mutating policy does to a pod, in CEL: ``env.py``, ``volume.py``, ``mounts.py`` and ``gate.py`` once more.

Lists of env and mounts are written whole, one operation for each container: a policy has a budget, and each operation is
paid for. Volumes and annotations are added one by one, because whatever else is in them is not ours to write again.
"""

import json
import re
from collections.abc import Iterator

from podfacts.core.env import CARRIED, LONGEST
from podfacts.core.facts import FACTS, NAMESPACE_KINDS
from podfacts.core.gate import PLACE
from podfacts.core.gate import VOLUME as GATE
from podfacts.core.options import INJECTED
from podfacts.core.pod import Source
from podfacts.core.policy_cel import field_ref, literal, meets, optional, rows
from podfacts.core.policy_wishes import Variable, gate_mount, value_of
from podfacts.core.profile import CONTAINER_FILES, LONGEST_KEY, Profile
from podfacts.core.volume import VOLUME

ANNOTATION = re.compile(r"metadata\.annotations\['(.+)'\]")
MUTATION = """\
!variables.fit ? [] :
variables.lists.filter(list, list.after != list.before).map(list,
  JSONPatch{op: "add", path: list.path, value: list.after})
+ (variables.new_volumes.size() > 0 && variables.volumes.size() == 0
  ? [JSONPatch{op: "add", path: "/spec/volumes", value: variables.new_volumes}]
  : variables.new_volumes.map(volume, JSONPatch{op: "add", path: "/spec/volumes/-", value: volume}))
+ variables.new_files.map(file, JSONPatch{
  op: "add", path: "/spec/volumes/" + string(variables.at) + "/downwardAPI/items/-", value: file})
+ (variables.annotations.size() == 0 && variables.values.size() > 0
  ? [JSONPatch{op: "add", path: "/metadata/annotations", value: variables.values}]
  : variables.values.transformList(key, value,
    !(key in variables.annotations) || variables.annotations[key] != value,
    JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey(key), value: value}))
+ variables.annotations.transformList(key, value, key.startsWith("facts.podfacts.dev/") && !(key in variables.values),
  JSONPatch{op: "remove", path: "/metadata/annotations/" + jsonpatch.escapeKey(key)})"""


def patch_variables(profile: Profile) -> Iterator[Variable]:
    """What the mutation is put together from."""
    yield "facts", _facts(profile)
    yield "overwriting", "variables.facts.filter(fact, fact.name in variables.overwrite)"
    yield "envs", ENVS
    yield "files", _files(profile)
    yield "volumes", optional("object.spec", "volumes", "[]")
    yield "names", "variables.volumes.map(volume, volume.name)"
    yield "at", f"variables.names.indexOf({literal(VOLUME)})"
    yield "items", ITEMS
    yield "usable", USABLE
    yield "places", PLACES
    yield "shown", "variables.usable && variables.places.exists(place, place.here || !place.taken)"
    yield "mounts", _mounts(profile)
    yield "lists", "variables.envs + variables.mounts"
    yield "new_volumes", _new_volumes(profile)
    yield "new_files", NEW_FILES
    yield "values", _values(profile)


def _facts(profile: Profile) -> str:
    """The entries of env, ours first and in the profile's order (env.py)."""
    facts = []
    for each in profile.env:
        row = {"name": each["name"], **_row(each["valueFrom"])}
        annotation = ANNOTATION.fullmatch(row.get("field", ""))
        if annotation and not row["field"].startswith(CARRIED):
            row["annotation"] = annotation[1]
        facts.append(row)
    if not facts:
        return "[]"
    long = any("annotation" in row for row in facts)
    return (
        rows(facts)
        + (UNFIT if long else "")
        + '.map(fact, {"name": dyn(fact.name), "valueFrom": dyn(has(fact.field)\n'
        f'  ? {{"fieldRef": {field_ref("fact.field")}}}\n'
        '  : {"resourceFieldRef": {"resource": fact.resource, "divisor": fact.divisor}})})'
    )


def _row(source: Source) -> dict[str, str]:
    if "fieldRef" in source:
        return {"field": source["fieldRef"]["fieldPath"]}
    resource = source["resourceFieldRef"]
    return {"resource": resource["resource"], "divisor": resource["divisor"]}


# What execve does not take keeps no container from starting (env.py, unfit).
UNFIT = f"""
.filter(fact, !has(fact.annotation) || !(fact.annotation in variables.annotations)
  || (!variables.annotations[fact.annotation].contains("\\u0000")
    && size(fact.name) + 1 + size(bytes(variables.annotations[fact.annotation])) + 1 <= {LONGEST}))"""

# What is missing, then the author's: of two entries of one name the last one counts, and may be overwritten.
ENVS = """\
variables.chosen
.map(container, {"path": dyn(container.path + "/env"), "before": container.env,
  "names": dyn(container.env.map(entry, entry.name))})
.map(list, {"path": list.path, "before": list.before, "after": dyn(
  variables.facts.filter(fact, !(fact.name in list.names))
  + list.before.transformList(index, entry,
    variables.overwriting.exists(fact, fact.name == entry.name)
      && !list.names.exists(later, name, later > index && name == entry.name)
    ? variables.overwriting.filter(fact, fact.name == entry.name)[0] : entry))})"""

ITEMS = """\
variables.at >= 0 && has(variables.volumes[variables.at].downwardAPI)
  && has(variables.volumes[variables.at].downwardAPI.items)
? variables.volumes[variables.at].downwardAPI.items : []"""

# A second pass finds the whole list as it is: looking each item up would cost its square.
USABLE = """\
variables.files.size() > 0 && (variables.at < 0 || variables.items == variables.files
  || (variables.items.size() > 0 && variables.items.all(item, item in variables.files)))"""

NEW_FILES = """\
variables.shown && variables.at >= 0 && variables.items != variables.files
? variables.files.filter(file, !variables.items.exists(item, item.path == file.path))
: []"""

# Where a mount may go (mounts.py, taken). A path with ".." could be anywhere, so it counts as taken.
PLACES = f"""\
variables.chosen.map(container, {{"path": dyn(container.path + "/volumeMounts"), "before": container.mounts,
  "here": dyn(container.mounts.exists(mount, mount.name == {literal(VOLUME)}
    && mount.mountPath == variables.mount_path && !has(mount.subPath) && !has(mount.subPathExpr))),
  "taken": dyn((container.mounts.map(mount, mount.mountPath) + container.devices + container.message)
    .exists(path, {meets("path", "variables.folder")}))}})"""


def _files(profile: Profile) -> str:
    """The items of the volume: the pod's, then those of each container."""
    found = []
    if pod := [{"path": each["path"], "field": each["fieldRef"]["fieldPath"]} for each in profile.pod_files]:
        entry = f'{{"path": dyn(file.path), "fieldRef": dyn({field_ref("file.field")})}}'
        found.append(f"{rows(pod)}\n.map(file, {entry})")
    facts: list[dict[str, str]] = []
    for fact in profile.container_facts:
        source = {"image": fact.name} if fact.kind == "image" else _row(fact.source)
        facts.append({"file": fact.file or "", **source})
    if facts:
        found.append(_container_files(facts))
    return "\n+ ".join(found) or "[]"


def _container_files(facts: list[dict[str, str]]) -> str:
    path = f'"path": dyn("{CONTAINER_FILES}/" + container.name + "/" + file.file)'
    container = "string(container.name)"  # Its type is not known, and a map has values of one type.
    reference = f'{{"containerName": {container}, "resource": file.resource, "divisor": file.divisor}}'
    entry = f'{{{path}, "resourceFieldRef": dyn({reference})}}'
    wanted = ""
    if any("image" in each for each in facts):
        wanted = (
            f'\n  .filter(file, !has(file.image) || size(file.image + "." + container.name) <= {LONGEST_KEY})'
        )
        key = f'"metadata.annotations[\'{FACTS}" + file.image + "." + container.name + "\']"'
        entry = f'has(file.image)\n    ? {{{path}, "fieldRef": dyn({field_ref(key)})}}\n    : {entry}'
    return f"variables.chosen.map(container, {rows(facts)}{wanted}\n  .map(file, {entry})).flatten()"


def _mounts(profile: Profile) -> str:
    ours = (
        f'{{"name": dyn({literal(VOLUME)}), "mountPath": dyn(variables.mount_path), "readOnly": dyn(true)}}'
    )
    after = f"place.before\n    + (variables.usable && !place.here && !place.taken ? [{ours}] : [])"
    if profile.gate:
        parts = [f"{literal(key)}: dyn({literal(value)})" for key, value in gate_mount(profile).items()]
        mount = "{" + ", ".join([*parts, '"readOnly": dyn(true)']) + "}"
        there = f"place.before.exists(mount, {meets('mount.mountPath', literal(PLACE + '/'))})"
        after += f"\n    + ({there} ? [] : [{mount}])"
    return f'variables.places.map(place, {{\n  "path": place.path, "before": place.before,\n  "after": dyn({after})}})'


def _new_volumes(profile: Profile) -> str:
    ours = f'{{"name": dyn({literal(VOLUME)}), "downwardAPI": dyn({{"items": variables.files}})}}'
    found = f"(variables.shown && variables.at < 0 ? [{ours}] : [])"
    if profile.gate:
        held = f'{{"name": dyn({literal(GATE)}), "emptyDir": dyn({{}})}}'
        free = f"variables.chosen.size() > 0 && !({literal(GATE)} in variables.names)"
        found += f"\n+ ({free} ? [{held}] : [])"
    return found


def _values(profile: Profile) -> str:
    """The carried facts that are known by now (carried.py); all others of our prefix are nobody's to write."""
    found = {}
    for fact in profile.carried:
        if fact.kind == "value":
            found[FACTS + fact.name] = literal(fact.key)
        elif fact.kind in (*NAMESPACE_KINDS, "label", "annotation"):
            where = "namespace_" if fact.kind in NAMESPACE_KINDS else ""
            part = "labels" if fact.kind.lower().endswith("label") else "annotations"
            found[FACTS + fact.name] = value_of(f"variables.{where}{part}", fact.key, fact.default or "")
    found[INJECTED] = _record(profile)
    return "{" + ",".join(f"\n  {literal(key)}: dyn({value})" for key, value in found.items()) + "}"


def _record(profile: Profile) -> str:
    """That the pod has its facts, for the controller; what the webhook has told of the same profile stays."""
    told = json.dumps({"profile": profile.name, "hash": profile.hash}, separators=(",", ":"))
    there = f"variables.annotations[?{literal(INJECTED)}].orValue('')"
    return f"{there}.startsWith({literal(told[:-1])}) ? {there} : {literal(told)}"
