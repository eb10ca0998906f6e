"""Names that do not hold: what a controller made up will be called otherwise after the next rollout.

A grant for such a name would work until then and break in production; so whoever needs one of them needs them all. Only
for the resources whose names controllers make up: a Secret called ``app-x2bcd`` was named by somebody.
"""

import re

from podfacts.rights.request import Request

# The alphabet of apimachinery/pkg/util/rand: no vowels, so no words. generateName adds five of it; a pod template's hash, in
# the names of ReplicaSets and ControllerRevisions, is up to ten (rand.SafeEncodeString of a 32-bit number).
LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
SUFFIXED = re.compile(f".*-{LETTERS}{{5}}")
HASHED = re.compile(f".*-{LETTERS}{{5,10}}")
# A CronJob's Jobs end in the minute they are of (kubernetes/pkg/controller/cronjob/utils.go, getJobName).
JOB = re.compile(rf".*-(?:\d{{8}}|{LETTERS}{{5}})")
# An Event is the object's name and the time in nanoseconds, in hex (client-go/tools/record/event.go).
EVENT = re.compile(r".*\.[0-9a-f]{15,17}")
MADE_UP = {
    ("", "events"): EVENT,
    ("", "pods"): SUFFIXED,
    ("apps", "controllerrevisions"): HASHED,
    ("apps", "replicasets"): HASHED,
    ("batch", "jobs"): JOB,
    ("discovery.k8s.io", "endpointslices"): SUFFIXED,
    ("events.k8s.io", "events"): EVENT,
    ("metrics.k8s.io", "pods"): SUFFIXED,
}


def made_up(request: Request) -> bool:
    """Whether the request is for an object that will have another name one day."""
    pattern = MADE_UP.get((request.group, request.resource))
    return bool(pattern and request.name and pattern.fullmatch(request.name))
