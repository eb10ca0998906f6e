"""Pods whose authors mean no good: what comes of them is stated, and takes no longer than their size explains."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from podfacts.core.injection import ANNOTATIONS_LIMIT, inject
from podfacts.core.patch import apply
from podfacts.core.review import review
from tests.case import CASES, PROFILES, Case
from tests.faults.hostile import patch, pod, response
from tests.faults.verdict import WORLD, judged
from tests.faults.webhook import asked

LEGAL = "".join(map(chr, range(0x20, 0x7F))).replace("=", "")  # What an env name may hold since 1.34.


@pytest.mark.fault("T25")
def test_ten_thousand_variables_are_kept_and_ours_stand_before_them() -> None:
    mine = [{"name": f"V{number}", "value": "$(V0)"} for number in range(10_000)]
    answer = judged(asked(pod(env=mine)))
    assert (answer.outcome, answer.injected, answer.kept) == ("injected", 20, 0)
    env = apply(pod(env=mine), patch(answer))["spec"]["containers"][0]["env"]
    assert env[:11] == [*PROFILES["default"].env]
    assert env[11:] == mine


@pytest.mark.fault("T25")
def test_annotations_that_fill_what_is_allowed_leave_room_for_the_record_or_are_a_clear_refusal() -> None:
    record = 21 + len(inject(pod(), PROFILES).patch[-1]["value"]["podfacts.dev/injected"])
    room = ANNOTATIONS_LIMIT - record - 1
    assert judged(asked(pod({"a": "x" * room}))).outcome == "injected"
    refused = judged(asked(pod({"a": "x" * (room + 1)})))
    assert refused.outcome == "denied"
    assert "hold 256 KiB at most" in response(refused)["status"]["message"]


@pytest.mark.fault("T25")
def test_every_legal_character_in_a_name_comes_back_as_it_was() -> None:
    names = [LEGAL, *(f"A{char}B" for char in LEGAL)]
    mine = [{"name": name, "value": "x"} for name in names]
    keys = {f"example.com/A{char}b": LEGAL for char in "-_.0z"}
    answer = judged(asked(pod(keys, env=mine)))
    after = apply(pod(keys, env=mine), patch(answer))
    assert after["spec"]["containers"][0]["env"][11:] == mine
    assert {key: after["metadata"]["annotations"][key] for key in keys} == keys


@pytest.mark.fault("T25")
@pytest.mark.parametrize("name", ["podfacts", "podfacts-api", "podfacts-ambassador", "podfacts-required"])
@pytest.mark.parametrize("wish", [None, "api-access", "ambassador"])
def test_containers_and_volumes_named_like_ours_are_a_verdict_and_never_replaced(
    name: str, wish: str | None
) -> None:
    named = pod(
        {f"podfacts.dev/{wish}": "true"} if wish else None,
        name=name,
        env=[{"name": "POD_NAME", "value": "x"}],
    )
    named["spec"]["volumes"] = [{"name": name, "emptyDir": {}}]
    answer = judged(asked(named))
    if answer.outcome == "denied":
        assert "rename the " in response(answer)["status"]["message"]
        return
    after = apply(named, patch(answer))["spec"]
    assert {"name": name, "emptyDir": {}} in after["volumes"]
    assert {"name": "POD_NAME", "value": "x"} in after["containers"][0]["env"]


@pytest.mark.fault("T25")
def test_variables_that_refer_to_each_other_in_a_circle_are_left_to_the_kubelet() -> None:
    circle = [
        {"name": "A", "value": "$(B)"},
        {"name": "B", "value": "$(A)"},
        {"name": "POD_NAME", "value": "$(POD_NAME)"},
    ]
    answer = judged(asked(pod(env=circle)))
    assert (answer.outcome, answer.kept) == ("injected", 1)
    assert apply(pod(env=circle), patch(answer))["spec"]["containers"][0]["env"][-3:] == circle


def calls(body: bytes) -> int:
    """How many calls a review makes, of Python's functions and of C's."""
    made = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        review(body, WORLD)
    finally:
        sys.setprofile(before)
    return made


def many(key: str, make: Callable[[int], Any]) -> Callable[[int], dict[str, Any]]:
    def made(count: int) -> dict[str, Any]:
        whole = pod()
        whole["spec"]["containers"][0][key] = [*map(make, range(count))]
        return whole

    return made


def in_spec(key: str, make: Callable[[int], Any]) -> Callable[[int], dict[str, Any]]:
    def made(count: int) -> dict[str, Any]:
        whole = pod()
        whole["spec"][key] = [*whole["spec"].get(key, []), *map(make, range(count))]
        return whole

    return made


GROWING: dict[str, Callable[[int], dict[str, Any]]] = {
    "variables": many("env", lambda n: {"name": f"V{n}", "value": "$(V0)"}),
    "variables named like ours": many("env", lambda n: {"name": "POD_NAME", "value": f"{n}"}),
    "envFrom": many("envFrom", lambda n: {"prefix": f"P{n}", "secretRef": {"name": "s"}}),
    "mounts": many("volumeMounts", lambda n: {"name": "data", "mountPath": f"/data/{n}"}),
    "mounts where ours goes": many(
        "volumeMounts", lambda n: {"name": "data", "mountPath": f"/etc/downward/{n}"}
    ),
    "devices": many("volumeDevices", lambda n: {"name": "data", "devicePath": f"/dev/{n}"}),
    "volumes": in_spec("volumes", lambda n: {"name": f"v{n}", "emptyDir": {}}),
    "containers": in_spec("containers", lambda n: {"name": f"c{n}", "image": "app"}),
    "containers of one name": in_spec("containers", lambda _: {"name": "same", "image": "app"}),
    "init containers": in_spec("initContainers", lambda n: {"name": f"c{n}", "image": "app"}),
    "annotations": lambda n: pod({f"a{each}": "b" for each in range(n)}),
    "annotations that mean nothing": lambda n: pod({f"podfacts.dev/x{each}": "b" for each in range(n)}),
    "forged facts": lambda n: pod({f"facts.podfacts.dev/x{each}": "b" for each in range(n)}),
    "names to skip": lambda n: pod(
        {"podfacts.dev/skip-containers": ",".join(f"c{each}" for each in range(n))}
    ),
    "names to overwrite": lambda n: pod(
        {"podfacts.dev/overwrite": ",".join(f"V{each}" for each in range(n))}
    ),
}


@pytest.mark.fault("T25")
@pytest.mark.parametrize("make", GROWING.values(), ids=GROWING)
@pytest.mark.parametrize("wish", [None, "api-access", "ambassador"])
def test_four_times_the_pod_takes_four_times_the_calls_at_most(
    make: Callable[[int], dict[str, Any]], wish: str | None
) -> None:
    made = []
    for count in (100, 400):
        hostile = make(count)
        if wish:
            hostile["metadata"].setdefault("annotations", {})[f"podfacts.dev/{wish}"] = "true"
        body = asked(hostile)
        judged(body)
        made.append(calls(body))
    assert made[1] <= 4.2 * made[0], made


@pytest.mark.fault("T25")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_a_verdict_in_this_cluster_too(case: Case) -> None:
    judged(asked(case.pod))
