"""What files leave out is not known, which is another thing than none."""

from typing import Any

from podfacts.audit.report import Report
from tests.audit.small import inventory

ROLE = {"roles": {"reader": [{"verbs": ["get"], "resources": ["secrets"]}]}}


def known(told: dict[str, Any]) -> set[str]:
    return Report((), inventory({**ROLE, **told})).counts.keys() - {"roles", "bindings"}


def test_of_files_only_what_is_a_whole_clusters_list_is_known() -> None:
    assert known({}) == set()
    assert known({"accounts": ["shop/web"], "namespaces": ["shop"]}) == set()
    assert known({"pods": {"shop/web-0": "web"}}) == {"pods"}
    assert known({"namespaces": ["default", "kube-system"]}) == {"namespaces"}
    assert known({"accounts": ["default/default", "kube-system/default"]}) == {"service accounts"}
    assert known({"accounts": ["default/web", "kube-system/web"]}) == set()


def test_of_a_cluster_all_is_known() -> None:
    assert known({"live": True}) == {"service accounts", "namespaces", "pods"}
