"""The names that more than one fact, option or annotation must agree on: which are legal, and why."""

import re

# Kubernetes takes any printable ASCII since 1.34, and less before: a C identifier works everywhere, in every shell.
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a resource is called on the command line and in a profile: pods, deployments.apps, pods/log.
RESOURCE_WORD = re.compile(
    r"(?P<resource>[a-z][-a-z0-9]*)(?:\.(?P<group>[a-z0-9][-a-z0-9.]*))?(?:/(?P<subresource>[a-z][-a-z0-9]*))?"
)
