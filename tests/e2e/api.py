"""A door to the API server that shows all it says: status, body and warnings. JSON in, JSON out."""

import base64
import json
import re
import ssl
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
import yaml

WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class Said(NamedTuple):
    """One response."""

    status: int
    body: dict[str, Any]
    warnings: list[str]


class Api:
    """The API server, as the user of a kubeconfig; ``token`` instead makes it that of a service account."""

    def __init__(self, kubeconfig: Path, token: str | None = None) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority", kubeconfig))
        self.server = cluster["server"]
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        else:
            folder = kubeconfig.parent
            files = {}
            for key in ("client-certificate", "client-key"):
                files[key] = folder / f".{key}.pem"
                files[key].write_text(_pem(user, key, kubeconfig))
            context.load_cert_chain(files["client-certificate"], files["client-key"])
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, timeout=20)

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Said:
        """Send and return what came back, whatever the status."""
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = self._headers
        if method == "PATCH":
            headers = {**headers, "Content-Type": "application/merge-patch+json"}
        data = None if body is None else json.dumps(body)
        response = self._pool.request(method, url, body=data, headers=headers)
        warnings = [
            json.loads(f'"{each}"')
            for header in response.headers.getlist("Warning")
            for each in WARNING.findall(header)
        ]
        try:
            told = json.loads(response.data)
        except ValueError:
            told = {"text": response.data.decode()}
        return Said(response.status, told, warnings)

    def create(self, path: str, body: Any, **query: str) -> dict[str, Any]:
        """Create and return the object; an AssertionError with the API server's message otherwise."""
        said = self.call("POST", path, body, **query)
        assert said.status == 201, said.body.get("message", said.body)
        return said.body


def _pem(entry: dict[str, str], key: str, kubeconfig: Path) -> str:
    if f"{key}-data" in entry:
        return base64.b64decode(entry[f"{key}-data"]).decode()
    return (kubeconfig.parent / entry[key]).read_text()
