"""An owner is what a pod's author says it is, and its name goes into a URL."""

import pytest

from podfacts.controller.apiserver import Resource
from podfacts.controller.owners import NAME


@pytest.mark.parametrize("name", ["rs", "shop-5d4f", "a.b", "x" * 253, "0"])
def test_a_name_as_kubernetes_takes_it(name: str) -> None:
    assert NAME.fullmatch(name)
    assert Resource("apps", "v1", "replicasets", name, "shop").path.endswith(f"/replicasets/{name}")


@pytest.mark.parametrize(
    "name", ["../../pods", "rs?watch=true", "a/b", "..", ".", "", "RS", "rs#x", "%2e%2e", "a" * 254, "a\n"]
)
def test_a_name_that_is_none(name: str) -> None:
    assert not NAME.fullmatch(name)


@pytest.mark.fault("T38")
@pytest.mark.parametrize("name", ["a/b", "..", ".", "a?b", "a#b", "a%2fb"])
def test_no_url_is_made_of_what_would_make_another_one(name: str) -> None:
    for resource in (Resource("", "v1", "pods", name, "shop"), Resource("", "v1", "pods", "a", name)):
        with pytest.raises(ValueError, match="is the name of no object"):
            _ = resource.path
