"""What the cluster is made of, as far as it can be shown without a cluster, and without root."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cluster import ClusterError, __main__, build, folders, images, processes
from tests.cluster.progress import elapsed, quiet


@pytest.mark.parametrize("name", ["", "Big", "a_b", "-a", "a/b", "..", "a" * 41])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ClusterError):
        folders.state(name)


def test_state_where_the_cluster_would_not_see_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFACTS_CACHE", "/var/log/podfacts")
    with pytest.raises(ClusterError, match="PODFACTS_CACHE"):
        folders.state("a")


def test_a_process_is_stopped_by_its_pid_and_start_time_only(tmp_path: Path) -> None:
    process = processes.spawn("sleep", ["sleep", "60"], tmp_path)
    assert processes.recorded(tmp_path) == (process,)
    somebody_else = process._replace(started=process.started - 1)
    processes.stop([somebody_else])
    assert processes.alive(process)
    assert not processes.alive(somebody_else)
    processes.stop([process])
    assert not processes.alive(process)


def test_what_a_dead_process_said_is_found(tmp_path: Path) -> None:
    process = processes.spawn("sh", ["sh", "-c", "echo first; echo why >&2; exit 1"], tmp_path)
    os.waitpid(process.pid, 0)
    assert processes.last_words(tmp_path, "sh") == "why"
    assert processes.last_words(tmp_path, "nothing") == "it said nothing"


def test_a_record_that_was_cut_short_is_no_process(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids" / "etcd").write_text("123")
    assert processes.recorded(tmp_path) == ()


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("Client Version: v1.36.9", True),
        ("Client Version: v1.32.1", False),
        ("Client Version: v1.360.0", False),
        ("wrapper 0.1\nClient Version: v1.36.3", False),
    ],
)
def test_a_binary_is_taken_by_its_own_word_for_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, taken: bool
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncat <<'.'\n{said}\n.\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("PATH", f"{os.defpath}{os.pathsep}/nowhere")
    assert build.installed("kubectl") == (kubectl if taken else None)


def test_without_go_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterError, match=r"needs Go 1\.26 or newer.*no go in PATH"):
        build.check_go()


def test_the_build_is_named_by_what_decides_it() -> None:
    assert build.key().startswith(f"{build.pinned('k8s.io/kubernetes')}-")
    with pytest.raises(ClusterError, match="does not require"):
        build.pinned("example.com/none")


def test_another_kwok_is_no_reason_to_build_kubernetes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.key(), build.kwok_key()
    (tmp_path / "go.mod").write_text("require (\n\tsigs.k8s.io/kwok v0.9.0\n)\n")
    (tmp_path / "go.sum").write_text("")
    monkeypatch.setattr(build, "KWOK", tmp_path)
    assert build.key() == before[0]
    assert build.kwok_key().startswith("kwok-v0.9.0-")
    assert build.kwok_key() != before[1]


def test_only_binaries_of_other_versions_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFACTS_CACHE", str(tmp_path))
    kept = {build.key(), build.kwok_key()}
    for name in (*kept, f"{build.key()}.partial", "v1.30.0-0", "kwok-v0.1.0-0"):
        (tmp_path / "bin" / name).mkdir(parents=True)
    build.prune(quiet)
    assert {path.name for path in (tmp_path / "bin").iterdir() if path.is_dir()} == kept


def test_what_was_built_is_taken_without_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFACTS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterError, match="no go in PATH"):
        build.kwok(quiet)
    program = tmp_path / "bin" / build.kwok_key() / "kwok"
    program.parent.mkdir()
    program.touch(0o755)
    assert build.kwok(quiet) == program


def test_an_archive_names_its_images_and_holds_their_layers(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    tarfile.open(fileobj=buffer, mode="w").close()
    path = tmp_path / "image.tar"
    images.write_archive(path, [images.Image(("a:1", "a:2"), buffer.getvalue(), {"Cmd": ["sh"]})])
    with tarfile.open(path) as tar:
        names = set(tar.getnames())
        (entry,) = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert {entry["Config"], *entry["Layers"]} < names
        config = json.loads(tar.extractfile(entry["Config"]).read())  # type: ignore[union-attr]
    assert entry["RepoTags"] == ["a:1", "a:2"]
    assert config["config"] == {"Cmd": ["sh"]}


def test_an_image_with_one_program_has_nothing_to_look_around_with() -> None:
    layer = images.program_layer("tool", b"code")
    assert layer == images.program_layer("tool", b"code")
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getnames() == ["bin", "etc", "tmp", "etc/passwd", "bin/tool"]
        assert {each.mtime for each in tar} == {0}
        assert (tar.getmember("bin/tool").mode, tar.getmember("tmp").mode) == (0o755, 0o1777)


@pytest.mark.parametrize(
    ("words", "name", "theirs"),
    [
        (["kubectl", "-n", "x", "get", "pods"], "podfacts", ["-n", "x", "get", "pods"]),
        (["kubectl", "--name", "b", "exec", "p", "--", "env"], "b", ["exec", "p", "--", "env"]),
        (["run", "--name=b", "--", "sh", "-c", "true"], "b", ["sh", "-c", "true"]),
        (["run", "sh", "--name", "c"], "podfacts", ["sh", "--name", "c"]),
    ],
)
def test_another_commands_words_are_left_alone(words: list[str], name: str, theirs: list[str]) -> None:
    options = __main__.parse(words)
    assert (options.name, options.words) == (name, theirs)


def test_what_is_not_possible_is_one_line_and_exit_2(tmp_path: Path) -> None:
    environment = {**os.environ, "PODFACTS_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "kubectl", "get", "pods"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "the cluster podfacts is not up: python -m tests.cluster up --name podfacts"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.26, " 4.3s"), (59.96, "1m00s"), (61.2, "1m01s"), (245, "4m05s")]
)
def test_elapsed_reads_as_a_person_says_it(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text
