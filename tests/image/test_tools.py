"""The images with curl and kubectl are what the public ones of these names are, as far as an archive can show it."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import build, packages
from tests.image import tools
from tests.image.errors import ImageError

pytestmark = pytest.mark.skipif(
    bool({"curl", "busybox-static"} & {*packages.missing()}),
    reason="Debian's curl or busybox-static is missing",
)
Make = Callable[[bytes], Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Give what makes the archive in a cache of its own, around any kubectl."""
    monkeypatch.setenv("PODFACTS_CACHE", str(tmp_path))

    def archive(program: bytes) -> Path:
        (tmp_path / "kubectl").write_bytes(program)
        return tools.images(tmp_path)

    return archive


def read(path: Path) -> dict[str, tuple[dict[str, Any], dict[str, tarfile.TarInfo]]]:
    """Each image's configuration and entries, by its tag."""
    found = {}
    with tarfile.open(path) as tar:

        def content(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file
            return file.read()

        for image in json.loads(content("manifest.json")):
            (tag,), (layer,) = image["RepoTags"], image["Layers"]
            with tarfile.open(fileobj=io.BytesIO(content(layer))) as files:
                entries = {each.name: each for each in files}
            found[tag] = (json.loads(content(image["Config"]))["config"], entries)
    return found


def test_kubectl_is_alone_and_of_the_pinned_version(make: Make) -> None:
    config, entries = read(make(b"kubectl"))[f"registry.k8s.io/kubectl:{build.pinned('k8s.io/kubernetes')}"]
    assert config["Entrypoint"] == ["/bin/kubectl"]
    assert {name for name, each in entries.items() if each.isfile()} == {"bin/kubectl", "etc/passwd"}
    assert not any(each.issym() for each in entries.values())


def test_curl_has_a_shell_a_named_user_and_the_webs_authorities(make: Make) -> None:
    config, entries = read(make(b"kubectl"))["curlimages/curl:8.11.1"]
    assert {f"bin/{name}" for name in ("curl", "sh", "env", "grep", "cat", "tr", "sleep")} <= entries.keys()
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (
        "curl_user",
        ["/entrypoint.sh"],
        ["curl"],
    )
    bundle = next(each for each in config["Env"] if each.startswith("CURL_CA_BUNDLE=/"))
    assert bundle.partition("=/")[2] in entries
    assert any(name.rpartition("/")[2].startswith("ld-linux") for name in entries)


def test_equal_inputs_make_equal_bytes_and_others_another_archive(make: Make) -> None:
    first = make(b"one")
    content = first.read_bytes()
    written = first.stat().st_mtime_ns
    assert make(b"one") == first
    assert first.stat().st_mtime_ns == written  # found, not written again
    first.unlink()
    assert make(b"one").read_bytes() == content
    second = make(b"another")
    assert second != first
    assert [*second.parent.glob("tools-*")] == [second]  # what nothing asks for any more is gone


def test_without_curl_the_user_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageError, match="curl is missing"):
        make(b"kubectl")
