"""Each case: the patch, the second pass, the untouched input, what is told."""

import copy

import jsonpatch
import pytest

from podfacts.core.injection import inject
from podfacts.core.patch import apply
from podfacts.core.refusal import Refused
from tests.case import CASES, NAMESPACE, PROFILES, Case

INJECTING = [case for case in CASES if "refused" not in case.told]
REFUSED = [case for case in CASES if "refused" in case.told]


def ids(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", INJECTING, ids=ids)
def test_case(case: Case) -> None:
    before = copy.deepcopy(case.pod)
    done = inject(case.pod, PROFILES, case.around, NAMESPACE)
    assert case.pod == before, "the input is never touched"
    assert list(done.patch) == case.patch
    # What the author wrote is replaced where an annotation says so; else only the token that nobody asked for goes, and
    # annotations that nobody but Podfacts may write.
    replacing = any(
        each in str(case.pod) for each in ("/overwrite", "kube-api-access-", "facts.podfacts.dev/")
    )
    assert replacing or all(each["op"] == "add" for each in done.patch)
    assert list(done.kept) == case.kept
    assert list(done.skipped) == case.skipped
    expected = "skipped" if "skipped_because" in case.told else "injected" if case.patch else "unchanged"
    assert done.outcome == expected
    assert done.reason == case.told.get("skipped_because", "ok")


@pytest.mark.parametrize("case", INJECTING, ids=ids)
def test_second_pass_is_empty(case: Case) -> None:
    once = apply(case.pod, inject(case.pod, PROFILES, case.around, NAMESPACE).patch)
    assert inject(once, PROFILES, case.around, NAMESPACE).patch == ()


@pytest.mark.parametrize("case", INJECTING, ids=ids)
def test_warnings(case: Case) -> None:
    assert list(inject(case.pod, PROFILES, case.around, NAMESPACE).warnings) == case.warnings


@pytest.mark.parametrize("case", INJECTING, ids=ids)
def test_our_patch_applies_as_the_library_says(case: Case) -> None:
    patch = inject(case.pod, PROFILES, case.around, NAMESPACE).patch
    assert apply(case.pod, patch) == jsonpatch.apply_patch(case.pod, list(patch))


@pytest.mark.parametrize("case", REFUSED, ids=ids)
def test_refused(case: Case) -> None:
    with pytest.raises(Refused) as refused:
        inject(case.pod, PROFILES, case.around, NAMESPACE)
    assert str(refused.value) == case.told["refused"]


def test_there_are_enough_cases_and_half_change_nothing() -> None:
    nothing = [case for case in CASES if not case.patch]
    assert len(CASES) >= 60
    assert len(nothing) >= len(CASES) / 2
