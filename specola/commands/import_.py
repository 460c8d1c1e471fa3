"""``specola import``: bundles of what the world has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specola.commands.common import Commands, Json, print_json
from specola.commands.ingest import bars as _plain_bars

if TYPE_CHECKING:
    from specola_bundle.build import Report
    from specola_bundle.survey import Survey

__all__ = ["register"]

EPILOG = """**Examples**

`specola import sdss spec-*.fits.gz -o bundles/sdss`

`specola import catalogue zcosmos.csv.gz --survey zcosmos -o bundles/zcosmos`

`specola import pandora reduced/ --survey my_survey/survey.toml --release dr2 -o bundles/dr2`

What is read of each format, and what survey.toml says: docs/importing.md. `specola ingest` takes the bundle into an archive."""

_app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog=EPILOG,
    help="Make a bundle of spectra or of a catalogue.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_app, name="import")


@contextmanager
def bars(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars; where a reader does not know how much there is, the bar is as long as what is done."""
    with _plain_bars(quiet=quiet) as report:
        yield lambda what, done, total: report(what, done, max(done, total))


def _epilog(*lines: str) -> str:
    return "**Examples**\n\n" + "\n\n".join(lines)


Sources = Annotated[list[Path], typer.Argument(help="Files, or folders of them.", exists=True)]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the bundle is to be.")]
Release = Annotated[str | None, typer.Option(help="Name of the release, if not survey.toml's.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Leave out files that can not be read, and list them.")]


def _survey_option(default: str, *value: str) -> Any:
    """The option as part of an annotation, or with a value as the default of a parameter."""
    return typer.Option(
        *value,
        "--survey",
        help=f"A survey.toml, its folder, or the name of a folder of inputs/ [default: {default}].",
        show_default=False,
    )


def _survey(name: str, release: str | None) -> Survey:
    from specola_bundle.survey import load_survey

    return load_survey(Path(name)).renamed(release)


def _files(sources: Iterable[Path], *patterns: str) -> list[Path]:
    """The files given, and those of the folders given whose name matches one of the patterns, in order."""
    found: list[Path] = []
    for source in sources:
        found += sorted({file for pattern in patterns for file in source.rglob(pattern)}) if source.is_dir() else [source]
    if not found:
        raise typer.BadParameter(f"found no {' or '.join(patterns)} in {', '.join(map(str, sources))}")
    return found


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json({"bundle": str(report.path), "counts": report.counts, "skipped": report.skipped})
        return
    typer.echo(f"{report.path}: " + ", ".join(f"{count:,} {name}" for name, count in report.counts.items()) + ".")
    if report.skipped:
        typer.echo(f"Left out as broken, {len(report.skipped)}:")
        for line in report.skipped:
            typer.echo(f"  {line}")


@_app.command(
    epilog=_epilog("`specola import vandels vandels/ -o bundles/vandels`  a folder with sample.info and spectra.tar.xz")
)
def vandels(
    source: Annotated[Path, typer.Argument(help="Folder with the sample table and the spectra.", exists=True, file_okay=False)],
    output: Output,
    *,
    survey: Annotated[str, _survey_option("vandels")] = "vandels",
    release: Release = None,
    overwrite: Overwrite = False,
    skip_broken: SkipBroken = False,
    as_json: Json = False,
) -> None:
    """VANDELS spectra as text (wl flam flam_err) with their sample table."""
    from ingest.readers import vandels as reader

    with bars(quiet=as_json) as progress:
        report = reader.read(
            source, output, _survey(survey, release), overwrite=overwrite, skip_broken=skip_broken, progress=progress
        )  # fmt: skip
    _tell(report, as_json=as_json)


def _one_spectrum_a_file(kind: str, default: str, pattern: str, about: str, *examples: str) -> None:
    """Add the command that reads files of this kind, with ``ingest.readers.<kind>``."""

    @_app.command(kind, help=about, epilog=_epilog(*examples))
    def command(
        sources: Sources,
        output: Output,
        *,
        survey: str = _survey_option(default, default),
        release: Release = None,
        overwrite: Overwrite = False,
        skip_broken: SkipBroken = False,
        as_json: Json = False,
    ) -> None:
        reader = import_module(f"ingest.readers.{kind}")
        with bars(quiet=as_json) as progress:
            report = reader.read(
                _files(sources, pattern, f"{pattern}.gz"), output, _survey(survey, release),
                overwrite=overwrite, skip_broken=skip_broken, progress=progress,
            )  # fmt: skip
        _tell(report, as_json=as_json)


_one_spectrum_a_file(
    "pandora",
    "easylife",
    "sc_*.fits",
    "EasyLife/PANDORA multi-extension files (flux, NOISE, SKY, EXR2D, THUMB).",
    "`specola import pandora sc_*.fits -o bundles/easylife`",
    "`specola import pandora reduced/ -o bundles/mine --survey my/survey.toml`",
)
_one_spectrum_a_file(
    "sdp",
    "esosdp",
    "*.fits",
    "ESO Science Data Products, one-dimensional spectra.",
    "`specola import sdp ADP.*.fits -o bundles/eso`",
)
_one_spectrum_a_file(
    "sdss",
    "sdss",
    "spec-*.fits",
    "SDSS and BOSS spectra (spec-PLATE-MJD-FIBER.fits).",
    "`specola import sdss spec-*.fits.gz -o bundles/sdss`",
    "`specola import sdss plates/ -o bundles/sdss --skip-broken`",
)


@_app.command(
    epilog=_epilog(
        "`specola import desi coadd-*.fits.gz -o bundles/desi`  redrock-* beside them is found",
        "`specola import desi coadd-x.fits --redrock redrock-x.fits -o bundles/desi`",
    )
)
def desi(
    sources: Sources,
    output: Output,
    *,
    redrock: Annotated[
        list[Path] | None, typer.Option(help="Files with the redshifts, where they are not beside the coadds.", exists=True)
    ] = None,
    survey: Annotated[str, _survey_option("desi")] = "desi",
    release: Release = None,
    overwrite: Overwrite = False,
    skip_broken: SkipBroken = False,
    as_json: Json = False,
) -> None:
    """DESI coadds with their redrock redshifts."""
    from ingest.readers import desi as reader

    with bars(quiet=as_json) as progress:
        report = reader.read(
            _files(sources, "coadd-*.fits", "coadd-*.fits.gz"), output, _survey(survey, release), redrock=redrock or (),
            overwrite=overwrite, skip_broken=skip_broken, progress=progress,
        )  # fmt: skip
    _tell(report, as_json=as_json)


@_app.command(
    epilog=_epilog(
        "`specola import catalogue zcosmos.csv.gz --survey zcosmos -o bundles/zcosmos`",
        "`specola import catalogue parent.parquet --survey my/survey.toml -o bundles/parent`",
    )
)
def catalogue(
    source: Annotated[Path, typer.Argument(help="A CSV (.gz), Parquet, FITS or VOTable file.", exists=True, dir_okay=False)],
    output: Output,
    *,
    survey: Annotated[
        str, typer.Option("--survey", help="A survey.toml with a column mapping, its folder, or the name of a folder of inputs/.")
    ],
    release: Release = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """A catalogue of redshifts or photometry, with the column mapping of a survey.toml."""
    from ingest.readers import catalogue as reader

    with bars(quiet=as_json) as progress:
        report = reader.read(source, output, _survey(survey, release), overwrite=overwrite, progress=progress)
    _tell(report, as_json=as_json)
