"""What ships with the demonstration may ship: a licence and a source for each template."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "inputs" / "demo" / "templates"


def test_every_template_has_a_source_and_a_licence():
    readme = (FOLDER / "README.md").read_text("utf-8")
    with np.load(FOLDER / "templates.npz") as arrays:
        names = [key.removeprefix("template:") for key in arrays if key.startswith("template:")]
        others = [key for key in arrays if not key.startswith("template:")]
    assert len(names) == 15
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` \|.*$", readme, re.MULTILINE)}
    for name in [*names, *("filter:ugriz", "sky_lines")]:
        assert name in rows, name
        licence = re.search(r"\(licences/([^)]+)\)", rows[name])
        assert licence is not None, rows[name]
        assert (FOLDER / "licences" / licence[1]).stat().st_size > 800
    assert {key.split(":")[0] for key in others} == {"wave", "filter", "sky_lines"}


def test_licences_say_that_they_allow_it():
    words = {
        "grizli-MIT.txt": "to use, copy, modify, merge, publish, distribute",
        "kcorrect-BSD-3-Clause.txt": "Redistribution and use in source and binary forms",
        "pypeit-BSD-3-Clause.txt": "Redistribution and use in source and binary forms",
        "iraf-rvsao-copyright.txt": "You may do anything you like with this file except remove this copyright",
    }
    files = {path.name for path in (FOLDER / "licences").iterdir()}
    assert files == set(words)
    for name, sentence in words.items():
        assert sentence in " ".join((FOLDER / "licences" / name).read_text("utf-8").split())


def test_file_is_small_and_sound():
    path = FOLDER / "templates.npz"
    assert path.stat().st_size < 1_000_000
    with np.load(path) as arrays:
        wave = arrays["wave"]
        assert np.all(np.diff(wave) > 0)
        for key in arrays:
            assert np.isfinite(arrays[key]).all()
            if key.startswith("template:"):
                assert arrays[key].shape == wave.shape
                assert abs(np.interp(5500, wave, arrays[key]) - 1) < 0.01


def test_maker_explains_itself():
    done = subprocess.run(
        [sys.executable, "-c", f"import runpy; runpy.run_path({str(FOLDER / 'make_templates.py')!r}, run_name='no')"], check=False
    )
    assert done.returncode == 0
