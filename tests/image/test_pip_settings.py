"""A build reaches the package index as this machine does; nothing else of its pip configuration comes along."""

from pathlib import Path

from tests.image import pip_settings


def machine(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a machine with a home of its own."""
    return {"HOME": str(folder), "XDG_CONFIG_DIRS": str(folder / "none"), **variables}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\nindex-url = file:///one\nretries = 7\n")
    found = pip_settings.collect(machine(tmp_path, PIP_INDEX_URL="file:///two"))
    assert (found["index-url"], found["retries"]) == ("file:///two", "7")


def test_a_percent_sign_is_only_a_percent_sign(tmp_path: Path) -> None:
    own = tmp_path / "own.conf"
    own.write_text("[install]\nindex-url = file:///a%20b\n")
    assert pip_settings.collect(machine(tmp_path, PIP_CONFIG_FILE=str(own)))["index-url"] == "file:///a%20b"


def test_what_is_about_this_machines_own_python_stays_here(tmp_path: Path) -> None:
    found = pip_settings.collect(machine(tmp_path, PIP_REQUIRE_VIRTUALENV="1", PIP_TARGET="/x", PIP_USER="1"))
    assert not {"require-virtualenv", "target", "user"} & set(found)


def test_files_that_settings_point_to_are_mounted_read_only_where_they_are(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    environment = machine(tmp_path, PIP_FIND_LINKS=f"{wheels} /not/there", SSL_CERT_FILE=str(bundle))
    environment["PIP_CERT"] = str(bundle)
    assert pip_settings.volumes(tmp_path, environment) == [
        f"{tmp_path}/pip.conf:/etc/pip.conf:ro",
        f"{bundle}:{bundle}:ro",
        f"{wheels}:{wheels}:ro",
    ]
    assert f"cert = {bundle}\n" in (tmp_path / "pip.conf").read_text()


def test_an_authority_named_only_in_the_environment_is_used(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    environment = machine(tmp_path, PIP_CONFIG_FILE="/dev/null", SSL_CERT_FILE=str(bundle))
    assert pip_settings.collect(environment) == {"cert": str(bundle)}
