"""The files that say what an audit need not tell again: the ignore file, and a baseline."""

import json
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

from podfacts.audit.decisions import Decisions, Ignore, baseline, ignore
from podfacts.audit.inventory import Place
from podfacts.core.refusal import Refused, Segment, place
from podfacts.offline.manifests import Manifest, Problem, read, refusal
from podfacts.yamltext.documents import Document, documents
from podfacts.yamltext.nodes import Broken, locate

WRITE = "write ignores: and a list below it"


def decisions(ignore_files: Sequence[str], baseline_files: Sequence[str]) -> Decisions:
    """What the files say. Raises ``BadInput`` (``file:line: reason``)."""
    problems: list[Problem] = []
    ignores: list[Ignore] = []
    known: frozenset[str] = frozenset()
    for manifest in _read(ignore_files):
        for each in _ignores(manifest) if isinstance(manifest, Manifest) else (manifest,):
            (problems if isinstance(each, Problem) else ignores).append(each)  # type: ignore[arg-type]
    for manifest in _read(baseline_files):
        found = _baseline(manifest) if isinstance(manifest, Manifest) else manifest
        if isinstance(found, Problem):
            problems.append(found)
        else:
            known |= found
    if problems:
        raise refusal(problems)
    return Decisions(tuple(ignores), known)


def _read(files: Sequence[str]) -> Iterator[Manifest | Problem]:
    for file in files:
        if file == "-":
            yield Problem(file, 0, "is read from a file: stdin is for manifests and logs")
        else:
            yield from read([file], BytesIO())


def _ignores(manifest: Manifest) -> Iterator[Ignore | Problem]:
    found = list(documents(manifest.text))
    for broken in found:
        if isinstance(broken, Broken):
            yield manifest.problem(broken.offset, broken.reason)
            return
    if len(found) != 1:
        yield Problem(manifest.name, 0, f"holds {len(found) or 'no'} documents: {WRITE}")
        return
    (document,) = (each for each in found if isinstance(each, Document))
    entries = document.tree.get("ignores") if isinstance(document.tree, dict) else None
    if not isinstance(entries, list) or len(document.tree) != 1:
        yield manifest.problem(document.root.start, f"is no ignore file: {WRITE}, and nothing else")
        return
    for index, each in enumerate(entries):
        yield _ignore(manifest, document, ("ignores", index), each)


def _ignore(manifest: Manifest, document: Document, path: tuple[Segment, ...], tree: Any) -> Ignore | Problem:
    try:
        return ignore(tree, Place(manifest.name, manifest.line(locate(document.root, path))))
    except Refused as refused:
        whole = (*path, *refused.path)
        return manifest.problem(locate(document.root, whole), f"{place(whole)}: {refused.reason}")


def _baseline(manifest: Manifest) -> frozenset[str] | Problem:
    try:
        return baseline(json.loads(manifest.text))
    except json.JSONDecodeError as error:
        return Problem(
            manifest.name,
            error.lineno,
            f"is no JSON ({error.msg}): write a baseline by podfacts audit -o json",
        )
    except RecursionError:
        return Problem(manifest.name, 0, "is nested too deep: write a baseline by podfacts audit -o json")
    except Refused as refused:
        return Problem(manifest.name, 0, refused.reason)
