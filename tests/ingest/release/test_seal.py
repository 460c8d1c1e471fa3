"""Nothing in a sealed folder can change without being named."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import SealError
from ingest.seal import CHUNK, seal, sealed_files, verify_seal

NAMES = st.lists(st.text("ab.-_0Z", min_size=1, max_size=4).filter(lambda name: name.strip(".")), min_size=1, max_size=3)


def _folder(path: Path, content: dict[str, bytes]) -> tuple[Path, Path, str]:
    folder = path / "bundle"
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return folder, path / "SUMS", seal(folder, path / "SUMS", {})


def _open(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            (Path(parent) / name).chmod(0o644)


FILES = {"bundle.json": b"{}", "spectra/0/a.fits": b"A" * 3000, "spectra/0.fits": b"B", "spectra/1/b.fits": b"", "z": b"z"}


def test_coreutils_reads_the_seal(tmp_path: Path) -> None:
    folder, sums, digest = _folder(tmp_path, FILES)
    done = subprocess.run(["sha256sum", "--strict", "-c", str(sums)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == len(FILES)
    assert digest == hashlib.sha256(sums.read_bytes()).hexdigest()
    assert dict(sealed_files(sums)) == {name: hashlib.sha256(text).hexdigest() for name, text in FILES.items()}


def test_what_is_sealed_is_read_only(tmp_path: Path) -> None:
    folder, sums, digest = _folder(tmp_path, FILES)
    for path in (folder / "bundle.json", folder / "spectra" / "0" / "a.fits", sums):
        assert path.stat().st_mode & 0o222 == 0
        with pytest.raises(PermissionError):
            path.write_bytes(b"other")
    with pytest.raises(PermissionError):
        (folder / "new").write_bytes(b"")
    with pytest.raises(PermissionError):
        (folder / "spectra" / "0.fits").unlink()
    assert verify_seal(folder, sums, digest) == len(FILES)


CHANGES = {
    "one bit": (lambda folder: (folder / "spectra/0/a.fits").write_bytes(b"A" * 2999 + b"@"), "0/a.fits: found another content"),
    "longer": (lambda folder: (folder / "z").write_bytes(b"zz"), "z: found another content"),
    "emptied": (lambda folder: (folder / "spectra/0.fits").write_bytes(b""), "spectra/0.fits: found another content"),
    "gone": (lambda folder: (folder / "spectra/1/b.fits").unlink(), "spectra/1/b.fits: found no such file"),
    "one more": (lambda folder: (folder / "spectra/0/aa.fits").write_bytes(b""), "0/aa.fits: found a file that was not there"),
    "last": (lambda folder: (folder / "zz").write_bytes(b""), "zz: found a file that was not there"),
    "renamed": (lambda folder: (folder / "z").rename(folder / "y"), "y: found a file that was not there"),
    "a link": (lambda folder: ((folder / "z").unlink(), (folder / "z").symlink_to("bundle.json")), "z: found another content"),
    "a dangling link": (lambda folder: ((folder / "z").unlink(), (folder / "z").symlink_to("no")), "z: found No such file"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_named(tmp_path: Path, change: str) -> None:
    folder, sums, digest = _folder(tmp_path, FILES)
    _open(folder)
    do, said = CHANGES[change]
    do(folder)
    with pytest.raises(SealError) as caught:
        verify_seal(folder, sums, digest)
    assert said in str(caught.value)
    assert len(caught.value.findings) == (2 if change == "renamed" else 1)


def test_a_seal_that_was_changed_is_no_seal(tmp_path: Path) -> None:
    folder, sums, digest = _folder(tmp_path, FILES)
    sums.chmod(0o644)
    sums.write_text(sums.read_text().replace("bundle.json", "bundle.jsom"))
    with pytest.raises(SealError, match="SUMS: found another content"):
        verify_seal(folder, sums, digest)
    sums.unlink()
    with pytest.raises(SealError, match="SUMS: found no such file"):
        verify_seal(folder, sums, digest)


def test_many_files_are_all_read(tmp_path: Path) -> None:
    names = {f"spectra/{number % 7}/{number}.fits": str(number).encode() for number in range(20 * CHUNK + 3)}
    folder, sums, digest = _folder(tmp_path, names)
    seen: list[tuple[str, int, int]] = []
    assert verify_seal(folder, sums, digest, total=len(names), progress=lambda *said: seen.append(said)) == len(names)
    assert seen[-1] == ("verify", len(names), len(names))
    _open(folder)
    for name in names:
        (folder / name).write_bytes(b"?")
    with pytest.raises(SealError) as caught:
        verify_seal(folder, sums, digest)
    assert len(caught.value.findings) + caught.value.more == len(names)


@settings(max_examples=60, deadline=None)
@given(paths=st.lists(NAMES, min_size=1, max_size=12), data=st.data())
def test_any_tree_verifies_and_no_file_less_does(tmp_path_factory: pytest.TempPathFactory, paths, data) -> None:
    tmp_path = tmp_path_factory.mktemp("tree")
    content = {}
    for parts in paths:
        name = "/".join(parts)
        # A name can not be both a file and a folder.
        if not any(name == other or name.startswith(other + "/") or other.startswith(name + "/") for other in content):
            content[name] = name.encode()
    folder, sums, digest = _folder(tmp_path, content)
    assert verify_seal(folder, sums, digest) == len(content)
    _open(folder)
    victim = data.draw(st.sampled_from(sorted(content)))
    (folder / victim).unlink()
    with pytest.raises(SealError) as caught:
        verify_seal(folder, sums, digest)
    assert [finding.where for finding in caught.value.findings] == [str(folder / victim)]
