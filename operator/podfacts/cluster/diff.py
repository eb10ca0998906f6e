"""``podfacts diff``: what the cluster's webhook would do to the pods of manifests, by its own word.

Each pod is asked for twice by server-side dry run, once as it is and once opted out. What the API server fills in, and
what other webhooks do, is in both and so in neither: the difference is ours. Nothing is kept in the cluster.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Any, NamedTuple
from urllib.parse import quote

import yaml

from podfacts.cluster.access import ApiServer, NoAnswer
from podfacts.core.options import INJECT, INJECTED
from podfacts.core.podtemplates import PodTemplate, pod_templates
from podfacts.core.refusal import BadInput, Refused, place
from podfacts.offline.manifests import Manifest, Problem, read, refusal
from podfacts.rights.names import LETTERS
from podfacts.rights.wanted import namespace_name
from podfacts.yamltext.documents import documents
from podfacts.yamltext.nodes import Broken, locate

Tree = dict[str, Any]

# Of a pod nobody has: a dry run of a name that is taken is refused, and a generated name differs in the two.
SUFFIX = "-podfacts-diff"
LONGEST_NAME = 253
# The API server makes these up anew for each of the two (kubernetes/plugin/pkg/admission/serviceaccount/admission.go).
TOKEN_VOLUME = re.compile(f"kube-api-access-{LETTERS}{{5}}")
VOLATILE = ("uid", "creationTimestamp", "resourceVersion", "managedFields")


class Compared(NamedTuple):
    """The differences as text, the lines for stderr, and whether a pod was refused with its facts."""

    text: str
    told: tuple[str, ...]
    refused: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A pod template that asks for facts, where it stands, and the namespace its pods are made in."""

    manifest: Manifest
    line: int
    kind: str
    name: str
    namespace: str
    pod: Mapping[str, Any]

    def told(self, sentence: str) -> str:
        """A line about it."""
        return str(Problem(self.manifest.name, self.line, sentence))


def compared(api: ApiServer, sources: Sequence[str], namespace: str | None, stdin: IO[bytes]) -> Compared:
    """What ``podfacts diff`` prints for files, folders and ``-``.

    Raises ``BadInput``: ``file:line: reason`` for what is no manifest, and for a pod that the cluster would not take
    without its facts either.
    """
    problems: list[Problem] = []
    found: list[Found] = []
    for manifest in read(sources, stdin):
        if isinstance(manifest, Problem):
            problems.append(manifest)
        else:
            found += _found(manifest, namespace, api.namespace, problems)
    if problems:
        raise refusal(problems)
    if not found:
        return Compared(
            "", (f"no pod template in it has the label {INJECT}: there is nothing to compare",), refused=False
        )
    texts: list[str] = []
    told: list[str] = []
    refused = False
    for each in found:
        plain = _plain(api, each)
        try:
            said = api.dry_run(_pods(each), twin(each, opted_in=True))
        except NoAnswer as error:
            if not error.status:
                raise
            told.append(each.told(_sentence(error)))
            refused = True
            continue
        told += [each.told(f"warning: {warning}") for warning in said.warnings]
        if INJECTED not in (said.tree["metadata"].get("annotations") or {}):
            told.append(each.told("no difference: no webhook of podfacts was asked about it"))
        texts.append(difference(each, plain, said.tree))
    return Compared("".join(texts), tuple(told), refused)


def twin(found: Found, *, opted_in: bool) -> Tree:
    """The pod that is asked for: as the template has it, or opted out."""
    metadata = found.pod.get("metadata") or {}
    labels = metadata.get("labels") or {}
    if not opted_in:
        labels = {**labels, INJECT: "false"}
    mine = {key: metadata[key] for key in ("annotations", "finalizers") if metadata.get(key)}
    named = {"name": found.name[: LONGEST_NAME - len(SUFFIX)] + SUFFIX, "namespace": found.namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**mine, **named, "labels": labels},
        "spec": found.pod.get("spec"),
    }


def difference(found: Found, plain: Tree, injected: Tree) -> str:
    """The unified diff of the two answers, as YAML; "" when they are the same."""
    title = f"{found.manifest.name}:{found.line} {found.kind}/{found.name}"
    before, after = (_lines(each, found.name) for each in (plain, injected))
    return "".join(
        f"{line}\n"
        for line in difflib.unified_diff(
            before, after, f"{title}, opted out", f"{title}, opted in", lineterm=""
        )
    )


def _lines(pod: Tree, name: str) -> list[str]:
    metadata = {key: value for key, value in pod["metadata"].items() if key not in VOLATILE}
    labels = {key: value for key, value in metadata["labels"].items() if key != INJECT}
    shown = {**pod, "metadata": {**metadata, "name": name, "labels": labels}}
    text: str = yaml.safe_dump(
        _ordered(shown), default_flow_style=False, allow_unicode=True, width=1_000_000, sort_keys=False
    )
    return TOKEN_VOLUME.sub("kube-api-access-xxxxx", text).splitlines()


def _ordered(value: Any) -> Any:
    """Names first, so that a container keeps its first line whatever it gains."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: (key != "name", key))}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def _found(manifest: Manifest, namespace: str | None, here: str, problems: list[Problem]) -> Iterator[Found]:
    for document in documents(manifest.text):
        if isinstance(document, Broken):
            problems.append(manifest.problem(document.offset, document.reason))
            continue
        try:
            for template in pod_templates(document.tree):
                if template.asks:
                    line = manifest.line(locate(document.root, template.owner))
                    yield _one(manifest, line, template, _owner(document.tree, template), (namespace, here))
        except Refused as refused:
            reason = f"{place(refused.path)}: {refused.reason}" if refused.path else refused.reason
            problems.append(manifest.problem(locate(document.root, refused.path), reason))


def _owner(tree: Any, template: PodTemplate) -> Mapping[str, Any]:
    for segment in template.owner:
        tree = tree[segment]
    found: Mapping[str, Any] = tree.get("metadata") or {}
    return found


def _one(
    manifest: Manifest,
    line: int,
    template: PodTemplate,
    owner: Mapping[str, Any],
    namespaces: tuple[str | None, str],
) -> Found:
    asked, here = namespaces
    name = str(owner.get("name") or str(owner.get("generateName") or "pod").rstrip("-"))
    written = owner.get("namespace")
    if asked and written and asked != written:
        where = (*template.owner, "metadata", "namespace")
        raise Refused(where, f"is {written}, and -n says {asked}: leave one of them out")
    try:
        namespace = namespace_name(str(asked or written or here))
    except Refused as refused:
        raise Refused((*template.owner, "metadata", "namespace"), refused.reason) from None
    return Found(manifest, line, template.kind, name, namespace, template.pod)


def _plain(api: ApiServer, found: Found) -> Tree:
    try:
        return api.dry_run(_pods(found), twin(found, opted_in=False)).tree
    except NoAnswer as error:
        if not error.status:
            raise
        raise BadInput(found.told(_sentence(error))) from None


def _sentence(error: NoAnswer) -> str:
    """The API server's sentence about the pod that was asked for, under the name that it has in the file."""
    if error.status == HTTPStatus.NOT_FOUND:
        return f"{error}: create the namespace, or write -n"
    return str(error).replace(SUFFIX, "")


def _pods(found: Found) -> str:
    return f"/api/v1/namespaces/{quote(found.namespace)}/pods"
