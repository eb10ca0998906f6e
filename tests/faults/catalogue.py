"""What can go wrong, under the numbers that tests carry, and what becomes of everybody then."""

from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that goes wrong. ``elsewhere`` says what shows it where no test does, or why nothing does."""

    number: str
    what: str
    then: str
    elsewhere: str = ""


class Part(NamedTuple):
    """Faults of one kind."""

    title: str
    faults: tuple[Fault, ...]


PARTS = (
    Part(
        "The webhook is away, or everything is",
        (
            Fault(
                "T1",
                "Every replica is gone, with `failurePolicy: Ignore`",
                "Everybody is admitted. Pods that asked and run without their facts are counted by the API server, listed by `podfacts check`, and get a Warning event.",
            ),
            Fault(
                "T2",
                "A replica is killed with requests in flight, or every one is",
                "One: nobody is refused, for a spare is asked again. All, the spare too: pods that asked are refused in a sentence that names us; pods that did not ask never notice.",
            ),
            Fault(
                "T3",
                "Our own pods have to start while the webhook is away",
                "They start: our namespace never asks the webhook.",
            ),
            Fault(
                "T4",
                "The label stands on a pod of `kube-system`, of `kube-node-lease` or of ours",
                "The webhook is not asked, so the cluster can always repair itself.",
            ),
            Fault(
                "T5",
                "etcd, the API server and the webhook are stopped, and come back in any order",
                "Each order ends with pods that are injected, and nobody lifts a hand.",
            ),
            Fault(
                "T6",
                "It is uninstalled in any order",
                "No cluster is left that refuses pods, none of our objects is left over, and injected pods go on running. Only who deletes the Deployments alone, and nothing else, has to run the one-line rescue of the README.",
            ),
        ),
    ),
    Part(
        "Replicas come, go and hang",
        (
            Fault(
                "T7",
                "Rolling updates under a steady stream of creates",
                "Nobody is refused, and nobody starts without facts.",
            ),
            Fault(
                "T8",
                "A replica ends by SIGTERM while API servers keep connections to it",
                "What is under way is answered, the connections are told goodbye, and the process ends within its grace period.",
            ),
            Fault(
                "T9",
                "A replica hangs (SIGSTOP)",
                "One: nobody is refused, for the spare is asked again. All: calls fail by the policy within the timeout and half a second. Liveness starts them anew.",
            ),
            Fault(
                "T31",
                "Very many creates at once, two replicas",
                "Each answers between 35 and 65 in a hundred.",
            ),
            Fault(
                "T33",
                "A tenth of a processor",
                "It degrades to the policy, and liveness kills nobody for being slow.",
            ),
            Fault(
                "T45", "Upgrade and downgrade under load", "Nobody is refused; pods that run are not touched."
            ),
        ),
    ),
    Part(
        "The network",
        (
            Fault(
                "T10",
                "The network is slow: half a second, then five",
                "Half a second is fine; five go by the policy, and nothing piles up afterwards.",
            ),
            Fault(
                "T11",
                "Connections that reset or end halfway, wrong TLS, 5xx, garbage instead of JSON",
                "The API server falls back to the policy, our log stays clean, and the next call is good.",
            ),
            Fault(
                "T26",
                "Slow-loris: slow headers, slow bodies, no handshake",
                "They are cut within their deadlines, while every real review is answered; descriptors stay bounded.",
            ),
            Fault(
                "T27",
                "A flood of connections, and 10,000 that are kept open",
                "The cap holds, those that waited longest make room, real reviews are answered, and memory stays what it was.",
            ),
            Fault("T28", "200 handshakes a second", "Less than one core."),
        ),
    ),
    Part(
        "The API server, etcd, watches, leaders",
        (
            Fault(
                "T12",
                "The API server is away from us",
                "The webhook goes on from memory and stays ready; a metric says how old what it knows is.",
            ),
            Fault(
                "T13",
                "etcd stands still for ten seconds",
                "Nothing crashes, no process is started anew, work resumes.",
            ),
            Fault(
                "T20",
                "The leader is killed, cut off, left a stale Lease, or is paused past its Lease and resumed",
                "Another leads within half a minute, and serving never stops. Who has lost the Lease writes nothing more, so nothing is written twice.",
            ),
            Fault(
                "T35",
                "The controller reconciles 5,000 nodes and 20,000 pods",
                "Admission does not notice: it is another process.",
                "not shown by a test, for it is a comparison of times: `tests/bench/controller_beside.py` measures it",
            ),
            Fault(
                "T43",
                "A node's labels change while a pod is bound; the node is gone or comes late",
                "What the node had at one moment, or nothing and the truth soon after; no hot loop.",
            ),
            Fault(
                "T44",
                "A watch is cut, stalls, comes too late (410), is told to wait (429), or hears bookmarks only",
                "It is in step again within a minute; its age is shown meanwhile; nothing is done twice.",
            ),
        ),
    ),
    Part(
        "Certificates",
        (
            Fault("T14", "The certificate is renewed under load", "No handshake fails."),
            Fault(
                "T15",
                "The CA is replaced under load",
                "The new one is trusted before it signs, the old one for as long as its leaves live, and nobody is refused.",
            ),
            Fault(
                "T16",
                "Three first starts at once",
                "One CA wins, and every replica's certificate chains to the bundle.",
            ),
            Fault(
                "T17",
                "The Secret is torn, empty, garbage, expired or of the future",
                "The last good certificate goes on, or a new one is made; never a crash loop, and it is said.",
            ),
            Fault(
                "T18",
                "The clock is ten minutes off, or the cluster slept for 400 days",
                "What is served is valid again within ten seconds.",
            ),
            Fault(
                "T19",
                "Somebody overwrites or blanks the caBundle",
                "It is put right within ten seconds, with at most one write in five.",
            ),
        ),
    ),
    Part(
        "What is sent to us",
        (
            Fault(
                "T21",
                "Bodies of every size",
                "Up to the limit (8 MiB; the API server's own is 3) they are reviewed in bounded memory; beyond it 413, without reading them.",
            ),
            Fault(
                "T22",
                "A pod that would outgrow the limits by what we add",
                "A clear refusal or warning, never an opaque 500.",
            ),
            Fault(
                "T23",
                "Malformed reviews",
                "A 4xx or a valid answer with the same uid; never a traceback, never a wrong patch.",
            ),
            Fault(
                "T24",
                "Reviews by guided fuzzing",
                "No crash, no review that takes a second, no growth of memory.",
            ),
            Fault(
                "T25",
                "Generated pods, and hostile ones: 10,000 variables, annotations to the limit, every legal name, names like ours, cyclic `$(A)`",
                "The API server accepts what we made of a pod exactly if it accepts the pod; a second pass changes nothing; what the author wrote is untouched.",
            ),
            Fault(
                "T34",
                "64 reviews of a mebibyte at once, in 128 MiB",
                "They wait for each other; nothing is killed for memory.",
            ),
            Fault(
                "T36",
                "Other webhooks add containers, take our variables away, or set the same names",
                "All is there once, and the author's value wins.",
            ),
            Fault("T37", "Fields that we do not know, sidecars, ephemeral containers", "They survive."),
            Fault(
                "T42",
                "Dry runs, and the same review a hundred times",
                "No side effect, and always the same patch.",
            ),
        ),
    ),
    Part(
        "Somebody wants more than is his",
        (
            Fault(
                "T38",
                "A tenant asks by annotation for what is not his",
                "Refused. Opting in changes no right of anybody.",
            ),
            Fault(
                "T39",
                "Injection would weaken a pod",
                "It keeps to the restricted standard, and no token is mounted where the author switched it off, but for what was asked for.",
            ),
            Fault(
                "T40",
                "More rights than are used",
                "Each right is used and tested by taking it away; nothing that is needed is refused.",
            ),
            Fault(
                "T41",
                "Names with escapes, newlines, or ten thousand of them, in logs, metrics and terminals",
                "One JSON line each, no control character, and a bounded number of series.",
            ),
        ),
    ),
    Part(
        "How much, and for how long",
        (
            Fault(
                "T29",
                "Throughput at three sizes",
                "A measurement, not a test.",
                "`make bench`: [the webhook against Go and kopf](bench-webhook.md)",
            ),
            Fault(
                "T30",
                "A storm of 2,000 creates; the same creates with and without us",
                "All are admitted with their facts. What it adds is a measurement.",
                "the added time: `make bench`",
            ),
            Fault("T32", "Half an hour of load", "Memory, descriptors and tasks do not grow."),
        ),
    ),
)
FAULTS = tuple(fault for part in PARTS for fault in part.faults)
