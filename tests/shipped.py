"""What deploy/install.yaml ships, parsed once for the tests that judge it."""

from pathlib import Path
from typing import Any

import click
import yaml

from podfacts.cli import main

CHECKOUT = Path(__file__).parents[1]
DEPLOY = CHECKOUT / "deploy"
INSTALL = DEPLOY / "install.yaml"
NAMESPACE = "podfacts-system"
OPT_IN = "podfacts.dev/inject"
DEPLOYMENTS = ("podfacts-webhook", "podfacts-controller")
SPARE = "podfacts-webhook-spare"

Object = dict[str, Any]


def parsed(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document]


def by_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] == kind}


def names(objects: list[Object]) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["metadata"]["name"]) for entry in objects]


INSTALLED = parsed(INSTALL.read_text())
DEPLOYED = by_kind(INSTALLED, "Deployment")
[CONFIGURATION] = by_kind(INSTALLED, "MutatingWebhookConfiguration").values()
[WEBHOOK, AGAIN, NODES] = CONFIGURATION["webhooks"]


def pod(deployment: str) -> Object:
    spec: Object = DEPLOYED[deployment]["spec"]["template"]["spec"]
    return spec


def container(deployment: str) -> Object:
    [only] = pod(deployment)["containers"]
    return dict(only)


def labels(deployment: str) -> dict[str, str]:
    return dict(DEPLOYED[deployment]["spec"]["template"]["metadata"]["labels"])


def selected(selector: dict[str, str]) -> list[str]:
    """Return the Deployments whose pods a selector of equal labels takes."""
    return [name for name in DEPLOYED if selector.items() <= labels(name).items()]


def understood(args: list[str]) -> click.Context:
    """How the command line takes the arguments of a container."""
    command, *rest = args
    found = main.get_command(click.Context(main), command)
    assert found is not None
    return found.make_context(command, rest)
