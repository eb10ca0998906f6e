"""Sharp edges that no small YAML case can hold: sizes, and shapes that only a file can have."""

import json
from typing import Any

import pytest

from podfacts.core.carried import Surroundings, at_create
from podfacts.core.injection import ANNOTATIONS_LIMIT, inject
from podfacts.core.patch import apply, below, pointer, segments
from podfacts.core.refusal import Refused
from tests.case import PROFILES


def pod(profile: str = "name-env", **metadata: Any) -> dict[str, Any]:
    labels = {"podfacts.dev/inject": profile}
    return {
        "metadata": {"name": "web", "labels": labels, **metadata},
        "spec": {"containers": [{"name": "main", "image": "app"}]},
    }


FULL = "metadata.annotations: hold 256 KiB at most, with what Podfacts writes there: shorten them"


def refusal(*asked: Any) -> str:
    with pytest.raises(Refused) as refused:
        inject(*asked)
    return str(refused.value)


def test_a_pod_without_room_for_its_record_is_refused_and_not_taken_for_a_missed_one() -> None:
    assert refusal(pod(annotations={"a": "x" * (ANNOTATIONS_LIMIT - 40)}), PROFILES) == FULL


def test_the_record_may_fill_the_last_byte() -> None:
    record = json.dumps({"profile": "name-env", "hash": PROFILES["name-env"].hash}, separators=(",", ":"))
    room = ANNOTATIONS_LIMIT - len("podfacts.dev/injected") - len(record) - 1
    assert len(inject(pod(annotations={"a": "x" * room}), PROFILES).patch) == 2
    assert refusal(pod(annotations={"a": "x" * (room + 1)}), PROFILES) == FULL


def test_an_old_record_makes_room_for_the_new_one() -> None:
    old = {"podfacts.dev/injected": "x" * (ANNOTATIONS_LIMIT - len("podfacts.dev/injected"))}
    done = inject(pod(annotations=old), PROFILES)
    assert [each["path"] for each in done.patch][-1] == "/metadata/annotations/podfacts.dev~1injected"


def test_the_record_is_measured_in_bytes() -> None:
    def mounting(**metadata: Any) -> dict[str, Any]:
        tree = pod("labels-file", **metadata)
        tree["spec"]["containers"][0]["volumeMounts"] = [{"name": "a", "mountPath": "/etc/downward/ü"}]
        return tree

    [written] = inject(mounting(), PROFILES).patch
    record = written["value"]["podfacts.dev/injected"]
    room = ANNOTATIONS_LIMIT - len("podfacts.dev/injected") - len(record.encode()) - 1
    assert len(inject(mounting(annotations={"a": "x" * room}), PROFILES).patch) == 1
    [shorter] = inject(mounting(annotations={"a": "x" * (room + 1)}), PROFILES).patch
    assert set(json.loads(shorter["value"])) == {"profile", "hash"}


def test_a_record_that_is_too_long_by_itself_says_less() -> None:
    endless = pod()
    endless["spec"]["containers"][0] |= {
        "name": "x" * ANNOTATIONS_LIMIT,
        "env": [{"name": "POD_NAME", "value": "mine"}],
    }
    done = inject(endless, PROFILES)
    [written] = done.patch
    assert set(json.loads(written["value"]["podfacts.dev/injected"])) == {"profile", "hash"}
    assert len(done.kept) == 1


SHOP = Surroundings({}, {"shop": {"metadata": {"annotations": {"example.com/contact": "é"}}}})


def company(**annotations: str) -> dict[str, Any]:
    tree = pod("company", annotations=annotations)
    tree["metadata"]["labels"]["app"] = "web"
    return tree


def test_facts_may_fill_the_last_byte_and_are_never_left_out() -> None:
    values = at_create(company(), PROFILES["company"], "shop", SHOP)
    record = {"profile": "company", "hash": PROFILES["company"].hash}
    values["podfacts.dev/injected"] = json.dumps(record, separators=(",", ":"))
    room = ANNOTATIONS_LIMIT - sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    full = company(a="x" * (room - 1))
    once = apply(full, inject(full, PROFILES, SHOP, "shop").patch)
    assert once["metadata"]["annotations"] == full["metadata"]["annotations"] | values
    assert inject(once, PROFILES, SHOP, "shop").patch == ()
    assert refusal(company(a="x" * room), PROFILES, SHOP, "shop") == FULL


@pytest.mark.parametrize(
    "key", ["facts.podfacts.dev/contact", "facts.podfacts.dev/other", "podfacts.dev/injected"]
)
def test_what_was_forged_takes_no_room(key: str) -> None:
    forged = company(**{key: "x" * (ANNOTATIONS_LIMIT - len(key))})
    done = inject(forged, PROFILES, SHOP, "shop")
    assert done.warnings == ()
    left = apply(forged, done.patch)["metadata"]["annotations"]
    assert (
        left == apply(company(), inject(company(), PROFILES, SHOP, "shop").patch)["metadata"]["annotations"]
    )


def test_what_was_forged_in_a_file_is_for_its_author_to_take_away() -> None:
    tree = pod("node", annotations={"facts.podfacts.dev/rack": "forged"})
    with pytest.raises(Refused) as refused:
        inject(tree, PROFILES)
    assert str(refused.value) == (
        "metadata.annotations[facts.podfacts.dev/rack]: is written by Podfacts when the pod is created: remove it"
    )
    once = apply(company(), inject(company(), PROFILES).patch)
    assert inject(once, PROFILES).patch == ()


SOON = "instance-type, rack, node-memory, kernel: told by the cluster when the pod is bound to a node"
EMPTY = (
    "env INSTANCE_TYPE, RACK, NODE_MEMORY_MIB: empty when the containers start, unless the namespace has the label "
    "podfacts.dev/node-facts=enabled"
)


@pytest.mark.parametrize(
    ("profile", "namespaces", "said"),
    [
        ("node", None, [SOON]),
        ("node", {}, [EMPTY]),
        ("node", {"shop": {}}, [EMPTY]),
        ("node", {"shop": {"metadata": {"labels": {"podfacts.dev/node-facts": "disabled"}}}}, [EMPTY]),
        ("node", {"shop": {"metadata": {"annotations": {"podfacts.dev/node-facts": "enabled"}}}}, [EMPTY]),
        ("node", {"shop": {"metadata": {"labels": {"podfacts.dev/node-facts": "enabled"}}}}, []),
        ("held", None, []),
        ("held", {"shop": {}}, []),
        ("images", None, []),
        ("images", {"shop": {}}, []),
        ("name-env", {}, []),
    ],
)
def test_what_the_author_should_know_of_facts_that_come_later(
    profile: str, namespaces: dict[str, Any] | None, said: list[str]
) -> None:
    around = None if namespaces is None else Surroundings({}, namespaces)
    assert list(inject(pod(profile), PROFILES, around, "shop").warnings) == said


@pytest.mark.parametrize("nothing", [None, []])
def test_a_list_that_is_null_or_empty_is_made_anew(nothing: Any) -> None:
    tree = pod("labels-file")
    tree["spec"]["volumes"] = nothing
    tree["spec"]["containers"][0]["volumeMounts"] = nothing
    done = inject(tree, PROFILES)
    paths = [each["path"] for each in done.patch]
    assert paths[:2] == ["/spec/containers/0/volumeMounts", "/spec/volumes"]
    assert len(apply(tree, done.patch)["spec"]["volumes"]) == 1


def test_a_mount_of_our_volume_that_holds_nobody_back_is_not_ours() -> None:
    tree = pod("held")
    tree["spec"]["volumes"] = [{"name": "podfacts-required", "emptyDir": {}}]
    tree["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "podfacts-required", "mountPath": "/run/podfacts/required"}
    ]
    with pytest.raises(
        Refused, match=r"volumeMounts\[0\]: meets /run/podfacts/required, where required facts"
    ):
        inject(tree, PROFILES)


def test_a_mount_of_ours_without_its_volume_gets_it() -> None:
    once = apply(pod("held"), inject(pod("held"), PROFILES).patch)
    del once["spec"]["volumes"]
    assert [each["path"] for each in inject(once, PROFILES).patch] == ["/spec/volumes"]


def test_the_first_mount_in_the_way_is_told_unless_the_place_is_ours_already() -> None:
    tree = pod("labels-file")
    mounts = [{"name": "a", "mountPath": "/etc/downward/a"}, {"name": "b", "mountPath": "/etc/downward/b"}]
    tree["spec"]["containers"][0]["volumeMounts"] = mounts
    told = "main: the author mounts /etc/downward/a, so nothing is mounted at /etc/downward"
    assert inject(tree, PROFILES).kept == (told,)
    mounts.append({"name": "podfacts", "mountPath": "/etc/downward"})
    assert inject(tree, PROFILES).kept == ()


def test_a_value_too_long_for_execve_travels_as_a_file_only() -> None:
    long = pod("app-both", annotations={"Example.com/Team": "x" * (131_071 - len("TEAM=") - 0)})
    done = inject(long, PROFILES)
    assert [each["name"] for each in done.patch[0]["value"]] == ["APP"]
    assert done.skipped == ("env TEAM: the value is too long for an environment variable",)
    assert "team" in str(done.patch[-2]["value"])
    assert inject(apply(long, done.patch), PROFILES).patch == ()


def test_a_value_with_nul_travels_as_a_file_only() -> None:
    done = inject(pod("app-both", annotations={"Example.com/Team": "a\0b"}), PROFILES)
    assert [each["name"] for each in done.patch[0]["value"]] == ["APP"]
    assert done.skipped == ("env TEAM: the value holds NUL, which ends an environment variable",)


def test_a_pods_limit_of_one_resource_says_nothing_of_another() -> None:
    limited = pod()
    limited["metadata"]["labels"]["podfacts.dev/inject"] = "true"
    limited["spec"]["resources"] = {"limits": {"cpu": "1"}}
    assert inject(limited, PROFILES).warnings == (
        "main: limits.memory unset: the fact shows the node's allocatable",
        "main: limits.cpu unset: the file shows the node's allocatable, not the pod's limit",
    )


def test_the_longest_value_that_execve_takes_is_env() -> None:
    fits = pod("app-both", annotations={"Example.com/Team": "x" * (131_071 - len("TEAM=") - 1)})
    assert [each["name"] for each in inject(fits, PROFILES).patch[0]["value"]] == ["APP", "TEAM"]


@pytest.mark.parametrize("limit", ["0", 0, "0m", "0.0", "0e3", "0Ki", None])
def test_a_limit_of_zero_is_unset(limit: object) -> None:
    unlimited = pod("cpu-limit-both")
    unlimited["spec"]["containers"][0]["resources"] = {"limits": {"cpu": limit}}
    assert inject(unlimited, PROFILES).warnings == (
        "main: limits.cpu unset: the fact shows the node's allocatable",
    )


@pytest.mark.parametrize("limit", ["1", 1, "1m", "0.5", "10", "1e-3", 0.5])
def test_a_limit_is_set(limit: object) -> None:
    limited = pod("cpu-limit-both")
    limited["spec"]["containers"][0]["resources"] = {"limits": {"cpu": limit}}
    assert inject(limited, PROFILES).warnings == ()


def test_huge_pages_have_no_allocatable_to_fall_back_to() -> None:
    warnings = inject(pod("everything"), PROFILES).warnings
    assert warnings == (
        "main: limits.cpu, limits.memory, limits.ephemeral-storage unset: the fact shows the node's allocatable",
    )


SHAPES: list[tuple[str, Any, str]] = [
    ("/metadata", [], "metadata: must be an object, not a list"),
    ("/metadata/labels/podfacts.dev~1inject", True, "metadata.labels[podfacts.dev/inject]: must be a string, not a boolean: write it in double quotes"),
    ("/metadata/annotations", {"a": 1}, "metadata.annotations.a: must be a string, not a number: write it in double quotes"),
    ("/spec", "x", "spec: must be an object, not a string"),
    ("/spec/containers", {}, "spec.containers: must be a list, not an object"),
    ("/spec/containers/0", "x", "spec.containers[0]: must be an object, not a string"),
    ("/spec/containers/0", {}, "spec.containers[0].name: a container needs a name"),
    ("/spec/containers/0/name", 7, "spec.containers[0].name: must be a string, not a number: write it in double quotes"),
    ("/spec/containers/0/env", {"A": "b"}, "spec.containers[0].env: must be a list, not an object"),
    ("/spec/containers/0/env", ["A"], "spec.containers[0].env[0]: must be an object, not a string"),
    ("/spec/containers/0/env", [{"value": "x"}], "spec.containers[0].env[0].name: an env entry needs a name"),
    ("/spec/containers/0/envFrom", "x", "spec.containers[0].envFrom: must be a list, not a string"),
    ("/spec/containers/0/resources", [], "spec.containers[0].resources: must be an object, not a list"),
    ("/spec/containers/0/volumeMounts", ["x"], "spec.containers[0].volumeMounts[0]: must be an object, not a string"),
    ("/spec/containers/0/volumeMounts", [{"mountPath": 1}], "spec.containers[0].volumeMounts[0].mountPath: must be a string, not a number: write it in double quotes"),
    ("/spec/containers/0/terminationMessagePath", 7, "spec.containers[0].terminationMessagePath: must be a string, not a number: write it in double quotes"),
    ("/spec/volumes", {"a": 1}, "spec.volumes: must be a list, not an object"),
    ("/spec/initContainers", [[]], "spec.initContainers[0]: must be an object, not a list"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "what", "sentence"), SHAPES, ids=[each[2] for each in SHAPES])
def test_a_shape_that_only_a_file_can_have_is_refused(where: str, what: Any, sentence: str) -> None:
    wrong = apply(
        pod("everything"),
        [
            {
                "op": "add" if "containers/0" not in where or where.count("/") > 3 else "replace",
                "path": where,
                "value": what,
            }
        ],
    )
    with pytest.raises(Refused) as refused:
        inject(wrong, PROFILES)
    assert str(refused.value) == sentence


def test_pointers_escape_the_tilde_first() -> None:
    assert pointer("a/b", "c~d", 3) == "/a~1b/c~0d/3"
    assert segments("/a~1b/c~0d/3/~01") == ["a/b", "c~d", "3", "~1"]
    assert segments("") == []
    with pytest.raises(ValueError, match="starts with"):
        segments("a")


def test_a_patch_moves_below_a_prefix() -> None:
    moved = below(("items", 0, "spec/x"), [{"op": "add", "path": "/a", "value": 1}])
    assert moved == ({"op": "add", "path": "/items/0/spec~1x/a", "value": 1},)


@pytest.mark.parametrize(
    ("op", "path"),
    [
        ("add", "/a/b"),
        ("replace", "/x"),
        ("add", "/list/3"),
        ("replace", "/list/2"),
        ("add", "/list/-1"),
        ("add", "/text/a"),
    ],
)
def test_an_operation_without_a_place_is_an_error_as_in_the_api_server(op: Any, path: str) -> None:
    with pytest.raises(ValueError, match=op):
        apply({"list": [1, 2], "text": "x"}, [{"op": op, "path": path, "value": 0}])


def test_nothing_is_said_to_follow_that_is_there_or_never_asked_for() -> None:
    bound = pod("node")
    bound["spec"]["nodeName"] = "n1"
    assert inject(bound, PROFILES, Surroundings({"n1": {}}, {"shop": {}}), "shop").warnings == ()
    assert inject(pod("images"), PROFILES, Surroundings({}, {}), "shop").warnings == ()
