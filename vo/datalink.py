"""What the datalink services of all releases do (resdir/streams.rd, stream links): cut-outs here, links in `vo.links`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gavo import base, rscdef, svcs
from gavo.protocols import datalink, soda

from vo import access, spectrum, votable
from vo.links import FITS, VOTABLE, links
from vo.together import Together, release_of

__all__ = ["SpectrumDescriptor", "cut", "describe", "links", "load", "parameters", "render"]

CSV = "text/csv"
FORMATS = (VOTABLE, FITS, CSV, "votable", "fits", "csv")
"""What RESPONSEFORMAT takes, the short names of DALI too."""


class SpectrumDescriptor(datalink.DatalinkDescriptorMixin):  # type: ignore[misc]
    """A spectrum of a release: its row in the table of spectra and, once loaded, its arrays."""

    suppressAutoLinks = True  # noqa: N815  (DaCHS reads it)
    forSemantics = soda.DEFAULT_SEMANTICS  # noqa: N815  (DaCHS reads it)
    data: spectrum.SpectrumTable | None = None
    whole = True
    """False once something was cut away."""

    def __init__(self, pub_did: str, row: Mapping[str, Any], schema: str, path: Path, together: Together) -> None:
        self.pubDID = pub_did
        self.row = row
        self.schema = schema
        self.path = path
        self.together = together
        self.mime = FITS

    @property
    def release(self) -> str:
        """Schema of the release, also where a survey's plain name was asked."""
        return release_of(self.row)

    @property
    def folder(self) -> Path:
        """The archive's folder of products, below which accrefs are paths."""
        return self.path.parents[2]

    def estimateSize(self) -> int:
        """Size of the file in bytes."""
        return int(self.row["accsize"])


def describe(pub_did: str, schema: str, args: Any) -> Any:
    """The descriptor of a spectrum by its publisher DID or by its identifier alone; a fault where there is none.

    ``args`` are the parameters of the request. DaCHS asks for one spectrum after the other; with the first all are fetched.
    """
    together = getattr(args, "together", None)
    if together is None:
        asked = args.get("ID", ())
        together = args.together = Together(schema, [asked] if isinstance(asked, str) else asked)
    row = together.row(pub_did)
    if row is None:
        return datalink.DatalinkFault.NotFoundFault(pub_did, f"No spectrum {pub_did} in {schema}", semantics="#this")
    if not access.may_see(row["held_by"], row["held_until"]):
        return datalink.DatalinkFault.AuthorizationFault(
            pub_did, f"Spectrum {row['spectrum_id']} is not public before {row['held_until']}", semantics="#this"
        )
    return SpectrumDescriptor(row["pub_did"], row, schema, Path(row["accesspath"]), together)


def parameters(descriptor: SpectrumDescriptor) -> Iterator[Any]:
    """The parameters of the cut-out service (SODA 1.0): BAND and the format."""
    struct = base.makeStruct
    limits = None
    if descriptor.pubDID is not None:
        row = descriptor.row
        limits = struct(rscdef.Values, min=f"{row['wave_min'] * 1e-10!r}", max=f"{row['wave_max'] * 1e-10!r}")
    yield struct(
        svcs.InputKey, name="BAND", type="double precision[2]", xtype="interval", unit="m", ucd="em.wl",
        multiplicity="single", std=True, values=limits,
        description="Wavelength interval to cut out, in the medium (air or vacuum) of the spectrum",
    )  # fmt: skip
    yield struct(
        svcs.InputKey, name="RESPONSEFORMAT", type="text", ucd="meta.code.mime", multiplicity="single", std=True,
        description="Format of the result; VOTable unless given",
        values=struct(rscdef.Values, options=[struct(rscdef.Option, content_=name) for name in FORMATS]),
    )  # fmt: skip


def load(descriptor: SpectrumDescriptor) -> spectrum.SpectrumTable:
    """Read the arrays."""
    return spectrum.read_spectrum(descriptor.path, descriptor.row["flux_unit"])


def cut(descriptor: SpectrumDescriptor, args: Mapping[str, Any]) -> None:
    """Apply BAND. An interval beyond the spectrum is an error, as SODA wants it (204 is for multiple results)."""
    band = args.get("BAND")
    if not band or descriptor.data is None:
        return
    if None in band:
        # DaCHS reads NaN as no value
        raise base.ValidationError("BAND: found a limit that is no number, expected two wavelengths in m", "BAND")
    lower, upper = (float(value) for value in band)
    if not lower <= upper:
        raise base.ValidationError(f"BAND {lower} {upper}: found a lower limit above the upper one", "BAND")
    result = spectrum.cut(descriptor.data, lower * 1e10, upper * 1e10)
    if not len(result):
        row = descriptor.row
        raise base.ValidationError(
            f"BAND {lower} {upper}: no pixel of the spectrum is in this interval;"
            f" it covers {row['wave_min'] * 1e-10:.6g} to {row['wave_max'] * 1e-10:.6g} m",
            "BAND",
        )
    descriptor.whole = len(result) == len(descriptor.data)
    descriptor.data = result


def render(descriptor: SpectrumDescriptor, args: Mapping[str, Any]) -> tuple[str, bytes]:
    """The spectrum in the format asked for: media type and content."""
    wanted = (args.get("RESPONSEFORMAT") or VOTABLE).lower()
    if descriptor.data is None:
        raise base.ReportableError("The spectrum was not loaded")
    if wanted in {CSV, "csv"}:
        return CSV, votable.csv(descriptor.data)
    if wanted in {FITS, "fits", "image/fits"}:
        if descriptor.whole:
            return FITS, descriptor.path.read_bytes()
        return FITS, spectrum.fits_bytes(descriptor.path, descriptor.data)
    if wanted in {VOTABLE, "votable", "application/x-votable+xml;serialization=binary2", "text/xml"}:
        return VOTABLE, votable.votable(descriptor.row, descriptor.data)
    raise base.ValidationError(f"RESPONSEFORMAT {wanted}: expected {VOTABLE}, {FITS} or {CSV}", "RESPONSEFORMAT")
