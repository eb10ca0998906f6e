"""Kopf's own webhook server with a handler that calls the same pure injection: ``python kopf_server.py PORT FOLDER``.

Everything that a request meets is kopf's: its server, its review, its patch. What is left out is the operator around it
that discovers resources in a cluster; what it would have found is written down here.
"""

import asyncio
import functools
import sys
from pathlib import Path
from typing import Any

import kopf
from kopf._cogs.structs.references import Insights, Resource
from kopf._core.engines.admission import serve_admission_request
from kopf._core.engines.indexing import OperatorIndexers
from kopf._core.reactor.inventory import ResourceMemories

from podfacts.core.carried import Surroundings
from podfacts.core.injection import inject
from podfacts.core.patch import apply
from podfacts.core.profile import DEFAULT

PROFILES = {DEFAULT.name: DEFAULT}
AROUND = Surroundings({}, {})


# Its id is the path. Not a plain function: kopf would run that in a thread, which costs more than it does.
@kopf.on.mutate("", "v1", "pods", id="mutate", operations=["CREATE"])
async def facts(body: kopf.Body, patch: kopf.Patch, warnings: list[str], namespace: str, **_: Any) -> None:
    """The facts of one pod, by kopf's way to say more than a merge patch can."""
    done = inject(dict(body), PROFILES, AROUND, namespace)
    warnings += [f"podfacts: {each}" for each in done.warnings]
    if done.patch:
        patch.fns.append(lambda tree: tree.update(apply(tree, done.patch)))


async def serve(port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    insights = Insights()
    insights.webhook_resources.add(
        Resource("", "v1", "pods", kind="Pod", singular="pod", namespaced=True, preferred=True)
    )
    answer = functools.partial(
        serve_admission_request,
        settings=kopf.OperatorSettings(),
        registry=kopf.get_default_registry(),
        insights=insights,
        memories=ResourceMemories(),
        memobase=kopf.Memo(),
        indices=OperatorIndexers().indices,
    )
    server = kopf.WebhookServer(
        addr="127.0.0.1", port=port, certfile=folder / "tls.crt", pkeyfile=folder / "tls.key"
    )
    async for _ in server(answer):
        pass


def main(port: str, folder: str) -> None:
    """On uvloop, as ``kopf run`` does where that is installed."""
    import uvloop  # noqa: PLC0415

    kopf.configure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(port), Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
