"""Settings, files and templates: no servers here."""

from __future__ import annotations

import io
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import files, mirror
from ops.errors import OpsError, SettingsError
from ops.house import House


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SPECOLA_VAR": "relative/path"}, "absolute"),
        ({"SPECOLA_PORT": "http"}, "1024"),
        ({"SPECOLA_PORT": "80"}, "1024"),
        ({"SPECOLA_PORT": "65530"}, "65500"),
        ({"SPECOLA_PORT": "-8080"}, "1024"),
        ({"SPECOLA_PORT": "8\u066080"}, "1024"),
        ({"SPECOLA_AUTHORITY": "a b"}, "IVOA authority"),
        ({"SPECOLA_AUTHORITY": "ab"}, "IVOA authority"),
        ({"SPECOLA_PORTAL_URL": "https://team.example.org"}, "Give both"),
        ({"SPECOLA_PORTAL_URL": "http://team.example.org", "SPECOLA_STAGING_URL": "https://team.example.org:8443"}, "https"),
        ({"SPECOLA_PORTAL_URL": "https://team.example.org", "SPECOLA_STAGING_URL": "https://other.example.org"}, "same host"),
    ],
)
def test_a_setting_that_can_not_be_used_is_named_with_what_is_expected(variables, says):
    with pytest.raises(SettingsError) as raised:
        House.from_environment(variables)
    assert next(iter(variables)) in raised.value.message
    assert says in raised.value.remedy


def test_ports_of_one_installation_follow_its_base():
    house = House.from_environment({"SPECOLA_PORT": "9000", "SPECOLA_VAR": "/x"})
    assert house.url == "http://127.0.0.1:9000"
    assert [archive.url for archive in house.archives] == ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
    assert [server.port for archive in house.archives for server in archive.servers][:1] == [9011]
    assert house.archive("staging").servers[0].port == 9012
    assert len(house.ports) == len(set(house.ports))
    assert max(house.ports) <= 9020


def test_dsns_name_a_password_file_and_hold_no_password():
    house = House.from_environment({"SPECOLA_VAR": "/x y"})
    dsns = [archive.dsn for archive in house.archives] + [archive.admin_dsn for archive in house.archives] + [house.survey_dsn]
    for dsn in dsns:
        assert "passfile=" in dsn
        assert "password=" not in dsn


def test_an_existing_server_replaces_the_private_cluster():
    house = House.from_environment(
        {"SPECOLA_VAR": "/x", "SPECOLA_DSN_PUBLIC": "host=db.example.org dbname=spectra user=postgres password=p"}
    )
    assert [cluster.name for cluster in house.clusters] == ["team"]
    public = house.archive("public")
    assert public.cluster is None
    assert "host=db.example.org" in public.dsn
    assert "user=gavoadmin" in public.dsn
    assert "password=p" not in public.dsn


@given(st.text(alphabet="abc é/", min_size=1, max_size=200).map(lambda text: "/" + text))
def test_sockets_always_fit_the_kernels_limit(name):
    house = House(var=Path(os.path.normpath(name)), base_port=8080, repository=Path("/r"))
    for socket in (".s.PGSQL.5433", "supervisor.sock.4194304"):
        assert len(os.fsencode(house.sockets / socket)) <= 107


def test_files_are_written_whole_with_their_mode_and_only_when_they_differ(tmp_path):
    path = tmp_path / "deep" / "file"
    assert files.write(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat().st_ino
    assert not files.write(path, "one")
    assert path.stat().st_ino == before
    assert files.write(path, "two")
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_template_keeps_everything_but_its_places(tmp_path):
    template = tmp_path / "t.in"
    template.write_text("@{name} $uri %(x)s @dachs {a}")
    assert files.render(template, {"name": "N"}) == "N $uri %(x)s @dachs {a}"
    template.write_text("@{unknown}")
    with pytest.raises(OpsError, match="unknown"):
        files.render(template, {"name": "N"})


def test_a_private_folder_is_never_somebody_elses_link(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(SettingsError):
        files.private_folder(tmp_path / "link")
    assert stat.S_IMODE(files.private_folder(tmp_path / "mine").stat().st_mode) == 0o700


def _mirrored(source: Path, copy: Path) -> None:
    stream = io.BytesIO()
    mirror.send(source, stream)
    stream.seek(0)
    mirror.receive(stream, copy)


def test_a_mirrored_tree_follows_its_source_and_keeps_what_was_written_into_it(tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "package").mkdir(parents=True)
    (source / "package" / "a.py").write_text("a")
    (source / "package" / "b.py").write_text("b")
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "var").mkdir()
    (source / "var" / "secret").write_text("not mirrored")
    (source / "link").symlink_to("run")
    _mirrored(source, copy)
    assert sorted(str(p.relative_to(copy)) for p in copy.rglob("*") if p.name != ".mirrored") == [
        "link", "package", "package/a.py", "package/b.py", "run",
    ]  # fmt: skip
    assert os.access(copy / "run", os.X_OK)
    (copy / "result.json").write_text("written by the account")
    unchanged = (copy / "package" / "b.py").stat().st_ino
    (source / "package" / "a.py").unlink()
    _mirrored(source, copy)
    assert not (copy / "package" / "a.py").exists()
    assert (copy / "package" / "b.py").stat().st_ino == unchanged
    assert (copy / "result.json").exists()
    (source / "package" / "b.py").write_text("B")  # same size
    _mirrored(source, copy)
    assert (copy / "package" / "b.py").read_text() == "B"
    (source / "package" / "b.py").unlink()
    _mirrored(source, copy)
    assert not (copy / "package").exists()


def test_a_mirror_leaves_out_what_git_ignores_and_takes_what_is_new(tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    subprocess.run(["git", "init", "-q", source], check=True)
    for name in ("tracked", "deleted", "new", "ignored.log"):
        (source / name).write_text(name)
    (source / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "-C", source, "add", "tracked", "deleted"], check=True)
    (source / "deleted").unlink()
    _mirrored(source, copy)
    assert sorted(p.name for p in copy.iterdir() if p.name != ".mirrored") == [".gitignore", "new", "tracked"]


def test_a_mirror_refuses_names_that_leave_its_folder(tmp_path):
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    stream.seek(0)
    with pytest.raises(ValueError, match="outside"):
        mirror.receive(stream, tmp_path / "copy")
    assert not (tmp_path / "outside").exists()


def _help_time() -> float:
    """Seconds of processor time; a clock on the wall would measure what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([Path(sys.executable).parent / "specola", "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_less_than_half_a_second():
    assert min(_help_time() for _ in range(5)) < 0.5


def test_the_command_line_imports_nothing_heavy_before_it_is_needed():
    code = "import sys, specola.cli; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert not loaded & {"astropy", "lxml", "numpy", "pandas", "psycopg2", "pyarrow", "pyvo", "scipy", "specutils", "supervisor"}


def test_every_command_has_help_with_an_example():
    from typer.main import get_command

    from specola.cli import app

    group = get_command(app)
    assert {"up", "down", "restart", "status", "logs", "doctor"} <= set(group.commands)
    for name, command in group.commands.items():
        assert command.help, name
        assert "Example" in (command.epilog or "") or getattr(command, "commands", None), name
