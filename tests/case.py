"""One YAML case, many truths: what ``tests/cases/README.md`` describes, read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from podfacts.core.carried import Surroundings
from podfacts.core.options import INJECT
from podfacts.core.patch import Operation, apply, pointer
from podfacts.core.profile import DEFAULT, Profile, parse_profile

FOLDER = Path(__file__).parent / "cases"
PROFILE_TREES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "profiles.yaml").read_text())
PROFILES: dict[str, Profile] = {
    profile.name: profile for profile in (DEFAULT, *map(parse_profile, PROFILE_TREES))
}
KEYS = {
    "case",
    "pod",
    "patch",
    "record",
    "recorded",
    "kept",
    "skipped",
    "warnings",
    "skipped_because",
    "refused",
    "api",
    "annotations",
    "dropped",
    "nodes",
    "namespace",
}
NAMESPACE = "shop"


@dataclass(frozen=True)
class Case:
    """A pod and what must come of it."""

    name: str
    pod: dict[str, Any]
    told: dict[str, Any]

    @property
    def profile(self) -> Profile | None:
        """The profile that the pod names, if there is such a one."""
        name = self.pod["metadata"].get("labels", {}).get(INJECT)
        return PROFILES.get("default" if name == "true" else name)

    @property
    def around(self) -> Surroundings:
        """The cluster: the case's nodes, and the namespace with the metadata that the case gives it."""
        return Surroundings(
            self.told.get("nodes", {}), {NAMESPACE: {"metadata": self.told.get("namespace", {})}}
        )

    @property
    def anywhere(self) -> bool:
        """Whether the same comes of it in every cluster and in a file."""
        return not {"nodes", "namespace", "dropped"} & set(self.told)

    @property
    def patch(self) -> list[Operation]:
        """The whole patch that is expected, the operations on annotations among it."""
        if "patch" not in self.told or self.profile is None:
            return []
        operations: list[Operation] = list(self.told["patch"])
        if not self.told.get("recorded"):
            operations += self._annotating(self.profile)
        return operations

    def _annotating(self, profile: Profile) -> list[Operation]:
        record = {"profile": profile.name, "hash": profile.hash, **self.told.get("record", {})}
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        wanted = {**self.told.get("annotations", {}), "podfacts.dev/injected": text}
        if not self.pod["metadata"].get("annotations"):
            return [Operation(op="add", path="/metadata/annotations", value=wanted)]
        paths = {
            key: pointer("metadata", "annotations", key) for key in (*wanted, *self.told.get("dropped", ()))
        }
        added = [Operation(op="add", path=paths[key], value=value) for key, value in wanted.items()]
        return [*added, *(Operation(op="remove", path=paths[key]) for key in self.told.get("dropped", ()))]

    @property
    def kept(self) -> list[str]:
        """What the author has already."""
        return list(self.told.get("record", {}).get("kept", self.told.get("kept", [])))

    @property
    def skipped(self) -> list[str]:
        """What was left out."""
        return list(self.told.get("record", {}).get("skipped", self.told.get("skipped", [])))

    @property
    def warnings(self) -> list[str]:
        """All that is said, in order."""
        kept = [f"kept: {each}" for each in self.kept]
        skipped = [f"skipped: {each}" for each in self.skipped]
        return [*kept, *skipped, *self.told.get("warnings", [])]


def _read(path: Path) -> list[Case]:
    cases = []
    for told in yaml.safe_load(path.read_text()):
        if unknown := set(told) - KEYS:
            raise ValueError(f"{path.name}: {told['case']}: unknown keys {unknown}")
        case = Case(f"{path.stem}: {told['case']}", told["pod"], told)
        digest = case.profile.hash if case.profile else ""
        pod = json.loads(json.dumps(case.pod).replace("HASH", digest))
        cases.append(Case(case.name, pod, told))
    return cases


def _recorded(case: Case) -> Case:
    """The same case a second time round: the record is there already, and nothing at all is left to do."""
    told = {key: value for key, value in case.told.items() if key not in ("patch", "record")}
    told |= {"kept": case.kept, "skipped": case.skipped}
    return Case(f"{case.name}, recorded before", apply(case.pod, case.patch), told)


WRITTEN: list[Case] = [
    case for path in sorted(FOLDER.glob("*.yaml")) if path.name != "profiles.yaml" for case in _read(path)
]
CASES: list[Case] = WRITTEN + [_recorded(case) for case in WRITTEN if case.told.get("patch") == []]
