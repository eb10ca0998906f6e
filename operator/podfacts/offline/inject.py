"""``podfacts inject``: the webhook's own ``inject``, on files.

What is written depends on the output:

- ``yaml``: the texts that were read, changed only where a pod template gets its facts; texts of several files are
  joined by ``---``. A document that did not opt in comes out byte for byte (UTF-16 becomes UTF-8).
- ``json``: one object when there is one, else a ``List`` of all of them, lists among them opened.
- ``patch``: one line for each object, in order: the JSON patch (RFC 6902) that the object gets, its paths counted from
  the top of the object, ``[]`` when there is nothing to do. Documents without an object (comments only) get no line.

All or nothing: one bad document anywhere, and nothing is written.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from podfacts.core.injection import inject
from podfacts.core.options import INJECT
from podfacts.core.patch import Operation, apply, below
from podfacts.core.podtemplates import PodTemplate, pod_templates
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused, place
from podfacts.offline.manifests import Manifest, Problem, read, refusal
from podfacts.yamltext.compose import compose
from podfacts.yamltext.documents import Document, Glanced, documents_with
from podfacts.yamltext.edits import Edit, Writing, edited, lead, same
from podfacts.yamltext.layout import layout_of
from podfacts.yamltext.nodes import Broken, locate, value

# No label or annotation of ours is without it, and JSON may write the slash behind it in two ways.
DOMAIN = "podfacts.dev"
Output = Literal["yaml", "json", "patch"]
MARKED = re.compile(r"---(?=[ \t\r\n]|\Z)")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What goes to stdout, and the lines that go to stderr."""

    text: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """One object: what it gets, and what it is then. ``document`` is ``None`` where nobody needs it any more."""

    patch: tuple[Operation, ...] = ()
    tree: Any = None
    document: Document | None = None


def inject_sources(
    sources: Sequence[str], profiles: Mapping[str, Profile], output: Output, stdin: IO[bytes]
) -> Rendered:
    """What ``podfacts inject`` prints for files, folders and ``-``.

    Raises ``BadInput``, whose text is one line for each problem: ``file:line: reason``.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    texts: list[str] = []
    objects: list[Done] = []
    for manifest in read(sources, stdin):
        if isinstance(manifest, Problem):
            problems.append(manifest)
            continue
        found: list[Done] = []
        # JSON holds every object, so each is read whole; else only those that speak of us.
        for document in documents_with(manifest.text, "" if output == "json" else DOMAIN):
            if isinstance(document, Broken):
                problems.append(manifest.problem(document.offset, document.reason))
            elif isinstance(document, Glanced):
                found.append(Done())
            else:
                found.append(_injected(manifest, document, profiles, problems, warnings))
        if output == "yaml":
            texts.append(_text(manifest, found, problems))
        else:
            objects += found
    if problems:
        raise refusal(problems)
    if output == "yaml":
        text = _joined(texts)
    elif output == "json":
        text = json.dumps(_listed([each.tree for each in objects]), ensure_ascii=False, indent=2) + "\n"
    else:
        text = "".join(json.dumps(each.patch, ensure_ascii=False) + "\n" for each in objects)
    return Rendered(text, tuple(str(each) for each in warnings))


def _injected(
    manifest: Manifest,
    document: Document,
    profiles: Mapping[str, Profile],
    problems: list[Problem],
    warnings: list[Problem],
) -> Done:
    patch: list[Operation] = []

    def refuse(refused: Refused) -> None:
        reason = f"{place(refused.path)}: {refused.reason}" if refused.path else refused.reason
        problems.append(manifest.problem(locate(document.root, refused.path), reason))

    try:
        for template in pod_templates(document.tree):
            told: Sequence[str] = ()
            if template.asks:
                try:
                    done = inject(template.pod, profiles)
                except Refused as refused:
                    refuse(Refused((*template.path, *refused.path), refused.reason))
                    continue
                patch += below(template.path, done.patch)
                told = done.warnings
            elif template.owner_asks:
                told = [_misplaced(template)]
            line = manifest.line(locate(document.root, template.owner)) if told else 0
            warnings += [Problem(manifest.name, line, f"warning: {each}") for each in told]
    except Refused as refused:
        refuse(refused)
    if not patch:
        return Done(tree=document.tree)
    return Done(tuple(patch), apply(document.tree, patch), document)


def _misplaced(template: PodTemplate) -> str:
    way = place(template.path[len(template.owner) :])
    return f"the label {INJECT} of a {template.kind} does nothing: its pods need it at {way}.metadata.labels"


def _text(manifest: Manifest, objects: list[Done], problems: list[Problem]) -> str:
    """The manifest's text with the objects' facts in it."""
    pieces, position = [manifest.bom], 0
    for each in objects:
        document = each.document
        if document is None:
            continue
        rewritten = _rewritten(manifest.text, document, each.tree)
        if rewritten is None:
            reason = "this layout cannot be kept while facts are added: use -o json, or -o patch"
            problems.append(manifest.problem(document.root.start, reason))
            continue
        pieces += [manifest.text[position : document.start], rewritten]
        position = document.end
    return "".join((*pieces, manifest.text[position:]))


def _rewritten(text: str, document: Document, wanted: Any) -> str | None:
    """The document's text when it means what is wanted; ``None`` when that could not be written. It is read back."""
    layout = layout_of(text, document.root, is_json=document.is_json)
    edits = lead(Writing(text, document.end, layout), document.root, wanted)
    start = document.start
    moved = [Edit(each.start - start, each.end - start, each.new) for each in edits]
    written = edited(text[start : document.end], moved)
    try:
        root = compose(written, 0, len(written), is_json=document.is_json)
    except Broken:
        return None
    return written if root is not None and same(value(root), wanted) else None


def _joined(texts: Sequence[str]) -> str:
    joined = ""
    for text in texts:
        if joined and not joined.endswith("\n"):
            joined += "\n"
        text = text.removeprefix("\ufeff") if joined else text  # noqa: PLW2901 - a mark in the middle is no mark
        if joined and text.startswith("%"):
            joined += "...\n"
        elif joined and not MARKED.match(text):
            joined += "---\n"
        joined += text
    return joined


def _listed(trees: list[Any]) -> Any:
    if len(trees) == 1:
        return trees[0]
    return {"apiVersion": "v1", "kind": "List", "items": [*_opened(trees)]}


def _opened(trees: list[Any]) -> Iterator[Any]:
    for tree in trees:
        if tree["kind"] == "List" and tree["apiVersion"] == "v1" and isinstance(tree.get("items"), list):
            yield from _opened(tree["items"])
        else:
            yield tree
