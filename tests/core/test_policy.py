"""The policies that are printed: stable, readable, and made of what they define. What they do is shown on an API server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from podfacts.cli import main
from podfacts.core.policy import EXEMPT, policies
from podfacts.core.profile import Profile, parse_profile
from podfacts.core.refusal import BadInput, Refused
from podfacts.offline.policy import policy_text
from tests.case import PROFILES

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "deploy/examples/policy.yaml"
ACCESS = ("vault", "proxied")
PRINTED = [profile for name, profile in PROFILES.items() if name not in ACCESS]


def test_the_example_is_what_is_printed() -> None:
    assert CliRunner().invoke(main, ["policy"]).output == EXAMPLE.read_text()


def test_a_profile_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    value = 'a "quoted" \\ \n --- {{x}} ${y} é'
    facts = [{"name": "motto", "value": value}, {"name": "team", "label": "team"}]
    head = {"apiVersion": "podfacts.dev/v1alpha1", "kind": "Profile", "metadata": {"name": "shop"}}
    file.write_text(yaml.safe_dump({**head, "spec": {"facts": facts}}))
    printed = CliRunner().invoke(main, ["policy", "--profile", str(file), "shop"])
    assert printed.exit_code == 0
    profile = parse_profile(yaml.safe_load(file.read_text()))
    assert list(yaml.safe_load_all(printed.output)) == list(policies(profile))
    assert profile.hash in printed.output.splitlines()[0]
    assert r'"a \"quoted\" \\ \n --- {{x}} ${y} é"' in _expressions(policies(profile)[0])["values"]


@pytest.mark.parametrize("profile", PRINTED, ids=lambda profile: profile.name)
def test_what_is_printed_is_what_is_meant(profile: Profile) -> None:
    found = policies(profile)
    assert [each["kind"] for each in found] == [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]
    if profile.name == "default":
        assert list(yaml.safe_load_all(policy_text("default", ()))) == list(found)


@pytest.mark.parametrize("profile", PRINTED, ids=lambda profile: profile.name)
def test_each_variable_is_defined_before_it_is_read_and_read_by_somebody(profile: Profile) -> None:
    for policy in policies(profile)[::2]:
        defined: set[str] = set()
        everything = "\n".join(_texts(policy["spec"]))
        for name, expression in _expressions(policy).items():
            assert _read(expression) <= defined, name
            assert f"variables.{name}" in everything
            defined.add(name)
        assert _read(everything) == defined


@pytest.mark.parametrize("name", ACCESS)
def test_a_profile_that_gives_api_access_is_not_printed(name: str) -> None:
    with pytest.raises(Refused, match="a policy gives no API access"):
        policies(PROFILES[name])


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(BadInput, match="there is no profile 'shop': name one of default"):
        policy_text("shop", ())


def test_the_same_namespaces_are_left_out_as_by_the_webhook() -> None:
    shipped = yaml.safe_load((REPOSITORY / "deploy/base/40-admission.yaml").read_text())
    selector = shipped["webhooks"][0]["namespaceSelector"]
    assert [each["values"] for each in selector["matchExpressions"]] == [[*EXEMPT]]
    for binding in policies(PROFILES["default"])[1::2]:
        assert binding["spec"]["matchResources"]["namespaceSelector"] == selector


def _expressions(policy: dict[str, dict[str, list[dict[str, str]]]]) -> dict[str, str]:
    return {each["name"]: each["expression"] for each in policy["spec"]["variables"]}


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from _texts(each)


def _read(text: str) -> set[str]:
    return set(re.findall(r"\bvariables\.(\w+)", text))
