"""``specola-reduce simulate``: raw frames that never were, with the truth beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

EPILOG = """**Examples**

`specola-reduce simulate night`

`specola-reduce simulate night2 --grism LR_red --multiplex 3 --slits 120 --seed 7`

`specola-reduce simulate clean --without noise,cosmics,fringes,flexure --exposures 1`"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(simulate)


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to: FOLDER/raw gets the frames, FOLDER/truth the truth.")],
    grism: Annotated[str, typer.Option(help="LR_red, LR_blue, MR or HR_red.")] = "MR",
    quadrant: Annotated[int, typer.Option(help="1 to 4.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same frames.")] = 1,
    slits: Annotated[int, typer.Option(help="Slits of the mask.")] = 60,
    multiplex: Annotated[int, typer.Option(help="Spectra one behind the other.")] = 1,
    objects: Annotated[float, typer.Option(help="Mean number of objects in a slit.")] = 1.3,
    filled: Annotated[int, typer.Option(help="Slits that an extended object fills.")] = 0,
    exposures: Annotated[int, typer.Option(help="Science exposures, dithered along the slits.")] = 3,
    exptime: Annotated[float, typer.Option(help="Seconds of each.")] = 1200.0,
    seeing: Annotated[float, typer.Option(help="Arcsec FWHM at 5000 Å.")] = 0.8,
    airmass: Annotated[float, typer.Option(help="Of the first exposure.")] = 1.15,
    biases: Annotated[int, typer.Option(help="Bias frames.")] = 5,
    flats: Annotated[int, typer.Option(help="Lamp flats of each mask.")] = 3,
    arcs: Annotated[int, typer.Option(help="Arcs of each mask.")] = 1,
    standards: Annotated[int, typer.Option(help="Exposures of the standard star, through a mask of its own.")] = 1,
    without: Annotated[str, typer.Option(help="Effects to leave out, as in noise,cosmics,fringes; a wrong name lists all.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the files as JSON, no progress.")] = False,
) -> None:
    """Simulate a night of raw VIMOS frames with ESO's headers.

    Photon and read noise, bias structure, pixel response, slit errors, distortion, curved tilted lines, a varying line spread, a
    sky that varies, second order, fringes, flexure, cosmic rays, seeing, dithers, slit losses, refraction, extinction.
    """
    from rich.console import Console
    from rich.progress import Progress

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.simulate import Settings
    from specola_pipeline.simulate import simulate as make

    console = Console(stderr=True)
    try:
        settings = Settings(
            grism=grism,
            quadrant=quadrant,
            seed=seed,
            slits=slits,
            multiplex=multiplex,
            objects=objects,
            filled=filled,
            exposures=exposures,
            exptime=exptime,
            seeing=seeing,
            airmass=airmass,
            biases=biases,
            flats=flats,
            arcs=arcs,
            standards=standards,
            without=frozenset(word.strip() for word in without.split(",") if word.strip()),
        )
        with Progress(console=console, disable=as_json) as bar:
            task = bar.add_task("frames", total=None)
            files = make(settings, folder, lambda done, total: bar.update(task, completed=done, total=total))
    except (PipelineError, OSError) as error:
        console.print(f"specola-reduce: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({"raw": [str(file) for file in files], "truth": str(folder / "truth" / "truth.json")}))
    else:
        typer.echo(f"{len(files)} frames in {folder / 'raw'}, the truth in {folder / 'truth'}")
