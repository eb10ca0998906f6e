"""Clients that are not ours speak to both ports: curl, OpenSSL, Go's net/http, Prometheus' parser."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.webhook import POD, Reply, Webhook, asked, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(scope="module")
def webhook(folder: Path) -> Iterator[Webhook]:
    with running(folder / "webhook") as process:
        (folder / "ca.pem").write_bytes(process.authority.certificate_pem)
        (folder / "review").write_bytes(asked(POD))
        yield process
        assert process.is_well()


def curl(webhook: Webhook, folder: Path, *words: str, path: str = "/mutate") -> Reply:
    """What curl got, as the last of the answers that it saw; an AssertionError when it complains."""
    url = f"https://127.0.0.1:{webhook.port}{path}"
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "20"]
    done = subprocess.run(
        [*command, "--cacert", str(folder / "ca.pem"), *words, url], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


WAYS = {
    "plain": (),
    "HTTP/1.0": ("--http1.0",),
    "HTTP/1.0, kept": ("--http1.0", "--header", "Connection: keep-alive"),
    "HTTP/2 asked for": ("--http2",),
    "chunked": ("--header", "Transfer-Encoding: chunked"),
    "asked first": ("--header", "Expect: 100-continue", "--expect100-timeout", "15"),
    "closing": ("--header", "Connection: close"),
    "no content type": ("--header", "Content-Type:"),
    "TLS 1.3": ("--tlsv1.3",),
    "compression offered": ("--compressed",),
}


@pytest.mark.fault("T23")
@pytest.mark.parametrize("way", WAYS)
def test_curl_gets_the_same_review_in_every_way_that_it_can_ask(
    webhook: Webhook, folder: Path, way: str
) -> None:
    reply = curl(webhook, folder, "--data-binary", f"@{folder / 'review'}", *WAYS[way])
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.response == webhook.ask(asked(POD)).response


@pytest.mark.fault("T23")
def test_curl_is_told_what_is_not_there(webhook: Webhook, folder: Path) -> None:
    body = ("--data-binary", "@/dev/null")
    assert curl(webhook, folder, "--head").status == 405
    assert curl(webhook, folder).status == 405
    assert curl(webhook, folder, *body).status == 400
    assert curl(webhook, folder, *body, path="/").status == 404
    assert curl(webhook, folder, *body, path="/mutate?timeout=3s").status == 400
    assert curl(webhook, folder, "--request", "BREW").status in (400, 405)
    assert curl(webhook, folder, "--header", f"X: {'x' * 90_000}").status in (400, 431)


@pytest.mark.fault("T23")
def test_curl_keeps_one_connection_for_many_reviews(webhook: Webhook, folder: Path) -> None:
    url = f"https://127.0.0.1:{webhook.port}/mutate"
    words = ["--output", "/dev/null", "--write-out", r"%{http_code} %{num_connects}\n"]
    command = ["curl", "--silent", "--cacert", str(folder / "ca.pem")]
    command += ["--data-binary", f"@{folder / 'review'}", *words * 5, *[url] * 5]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines == ["200 1", *["200 0"] * 4]


def openssl(webhook: Webhook, folder: Path, *words: str) -> str:
    """What ``s_client`` says of the handshake."""
    address = f"127.0.0.1:{webhook.port}"
    command = ["openssl", "s_client", "-connect", address, "-CAfile", str(folder / "ca.pem"), *words]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=20)
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.fault("T11")
def test_openssl_verifies_us_and_gets_no_older_tls_than_1_3(webhook: Webhook, folder: Path) -> None:
    said = openssl(webhook, folder, "-verify_return_error", "-verify_ip", "127.0.0.1", "-x509_strict")
    assert "Verify return code: 0 (ok)" in said
    assert "TLSv1.3" in said
    assert "ALPN protocol: http/1.1" in openssl(webhook, folder, "-alpn", "h2,http/1.1")
    for older in ("-tls1_2", "-tls1_1"):
        assert "no peer certificate available" in openssl(webhook, folder, older)


# Compiling takes half a minute. The API server is a client of the same package, in the other tests.
@pytest.mark.long
@pytest.mark.fault("T29")
def test_go_is_answered_every_time_on_as_many_connections_as_it_has_goroutines(
    webhook: Webhook, folder: Path
) -> None:
    if not shutil.which("go"):
        pytest.skip("no go in PATH: binaries of the cluster may come from elsewhere")
    program = folder / "foreign"
    source = Path(__file__).parent / "foreign.go"
    subprocess.run(["go", "build", "-o", program, source], check=True, cwd=folder)
    url = f"https://127.0.0.1:{webhook.port}/mutate"
    command = list(map(str, (program, url, folder / "ca.pem", folder / "review", 400)))
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    outcome, _, connections = said.rpartition(" ")
    assert outcome == "map[HTTP/1.1 200:400]"
    assert int(connections) <= 16  # Two may be dialled for one that is wanted.


@pytest.mark.fault("T41")
def test_prometheus_reads_our_metrics_and_curl_our_probes(webhook: Webhook) -> None:
    reply = webhook.probe("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in text_string_to_metric_families(reply.body.decode())}
    assert families["podfacts_admission_requests"].type == "counter"
    assert families["podfacts_admission_duration_seconds"].type == "histogram"
    assert all(each.documentation for each in families.values() if each.name.startswith("podfacts_"))
    url = f"http://127.0.0.1:{webhook.probe_port}"
    for words, path, status in (
        ((), "/healthz", "200"),
        (("--head",), "/readyz", "200"),
        (("--http1.0",), "/metrics", "200"),
        (("--http2",), "/healthz", "200"),  # An upgrade that is not followed.
        (("--http2-prior-knowledge",), "/healthz", "000"),
        (("--data", "x"), "/healthz", "405"),
        ((), "/", "404"),
    ):
        out = ("--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10")
        done = subprocess.run(["curl", *out, *words, url + path], capture_output=True, text=True, check=False)
        assert done.stdout in (status, "413") if "--data" in words else done.stdout == status, (words, path)
