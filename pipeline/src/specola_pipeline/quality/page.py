"""The page of the report: what failed and why comes first, then what to look at, then everything.

It is one file without scripts: it can be mailed, kept beside the data, and opened anywhere.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from string import Template

from specola_pipeline.names import mask_name, slit_name
from specola_pipeline.quality.plots import COLOURS, figures_of_mask, picture_of_slit
from specola_pipeline.quality.rows import Quality, Row, column_definitions
from specola_pipeline.quality.thresholds import ACCEPTED, REJECTED, UNSURE
from specola_pipeline.reduce.results import MaskResult, Reduction

__all__ = ["page"]

_PICTURES = 16
"""Slits that are shown: those that are not accepted first; more would make the page too large to open."""

_SHOWN = ("wavelength_rms", "sky_offset", "sky_chi", "line_chi", "photon_limit", "snr", "objects")
"""Figures of the table of everything; the rest is in the Parquet file."""


def page(quality: Quality, reduction: Reduction) -> str:
    """The page as text."""
    template = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
    colours = "\n".join(
        f".{state} {{ color: {colour} }} .b-{state} {{ background: {colour} }} .verdict.{state} {{ border-color: {colour} }}"
        for state, colour in COLOURS.items()
    )
    shown = _chosen(quality)
    parts = [*_verdict(quality), *_reasons(quality, shown)]
    for mask in reduction.masks:
        parts += _mask(mask, quality, shown)
    parts += [*_pictures(quality, reduction, shown), *_everything(quality)]
    return template.substitute(
        title="Quality of the reduction", software=html.escape(reduction.software), colours=colours, body="\n".join(parts)
    )


def _chosen(quality: Quality) -> dict[str, str]:
    """Slits whose pictures are shown, with their states: those that are not accepted first."""
    state = {row["slit_id"]: quality.of_slit(row["slit_id"]) for row in quality.rows if row["slit_id"]}
    ranked = sorted(state, key=lambda slit: ((REJECTED, UNSURE, ACCEPTED).index(state[slit]), slit))
    return {slit: state[slit] for slit in ranked[:_PICTURES]}


def _verdict(quality: Quality) -> Iterator[str]:
    rejected, unsure, total = quality.count(REJECTED), quality.count(UNSURE), len(quality.rows)
    state = REJECTED if quality.failed else UNSURE if unsure else ACCEPTED
    words = {
        REJECTED: f"{rejected} of {total} slit exposures and frames failed; the reasons are below. The rest was reduced.",
        UNSURE: f"Nothing failed; {unsure} of {total} slit exposures ask for a look.",
        ACCEPTED: f"All {total} slit exposures are within the limits.",
    }
    yield f'<p class="verdict {state}">{words[state]}</p>'
    yield '<div class="counts">'
    for name in (REJECTED, UNSURE, ACCEPTED):
        yield f'<div class="b-{name}"><b>{quality.count(name)}</b>{name}</div>'
    yield "</div>"


def _reasons(quality: Quality, shown: Container[str]) -> Iterator[str]:
    """What is not accepted: a line a slit, in it each reason once with the files that have it."""
    for state, title in ((REJECTED, "What failed, and why"), (UNSURE, "What to look at")):
        together: dict[tuple[str, str], list[Row]] = {}
        for row in quality.rows:
            if row["state"] == state:
                together.setdefault((row["pointing_id"] or "", row["slit"] or row["file"] or ""), []).append(row)
        if not together:
            continue
        yield f"<h2>{title}</h2><table><tr><th>slit</th><th>why</th></tr>"
        for rows in together.values():
            files: dict[str, list[str]] = {}
            for row in rows:
                files.setdefault(row["flags"], []).append(row["file"] or "")
            where = _link(rows[0], rows[0]["slit"] or "the whole frame", shown)
            why = "".join(
                f'<div>{_text(flags)} <span class="files">{_text(", ".join(names))}</span></div>'
                for flags, names in files.items()
            )
            yield f'<tr class="{state}"><td>{where}</td><td>{why}</td></tr>'
        yield "</table>"


def _link(row: Row, text: str, shown: Container[str]) -> str:
    return f'<a href="#{_text(row["slit_id"])}">{_text(text)}</a>' if row["slit_id"] in shown else _text(text)


def _mask(mask: MaskResult, quality: Quality, shown: Container[str]) -> Iterator[str]:
    """A square a slit and exposure, and the figures of all of them."""
    name = mask_name(mask.group)
    rows = [row for row in quality.rows if row["pointing_id"] == name]
    slits = sorted({row["slit_id"] or row["slit"] for row in rows if row["slit"]})
    yield f"<h2>{_text(name)}</h2>"
    if mask.response is not None:
        yield f"<p>Flux from {_text(mask.response[0])}, whose bands scatter by {mask.response[1]:.1%} about the response.</p>"
    else:
        yield "<p>No flux calibration: no standard star was reduced for it; spectra are in electrons.</p>"
    if not slits:
        return
    found = {(row["file"], row["slit_id"] or row["slit"]): row for row in rows}
    yield '<div class="scroll"><table class="grid">'
    for exposure in mask.exposures:
        file = exposure.entry.path.name
        squares = "".join(_square(found.get((file, slit)), slit, shown) for slit in slits)
        yield f"<tr><th>{_text(file)}</th>{squares}</tr>"
    yield "</table></div>"
    yield _img(figures_of_mask(rows, quality.limits), f"figures of the slits of {name}")


def _square(row: Row | None, slit: str, shown: Container[str]) -> str:
    if row is None:
        return f'<td><span title="{_text(slit)}: not in this exposure"></span></td>'
    said = f"{slit}: {row['state']}. {row['flags']}"
    link = f' href="#{_text(slit)}"' if slit in shown else ""
    return f'<td><a class="b-{row["state"]}"{link} title="{_text(said)}"></a></td>'


def _pictures(quality: Quality, reduction: Reduction, shown: Mapping[str, str]) -> Iterator[str]:
    if not shown:
        return
    yield "<h2>The slits</h2>"
    total = len({row["slit_id"] for row in quality.rows if row["slit_id"]})
    if total > len(shown):
        yield f"<p>{len(shown)} of {total}, those that are not accepted first.</p>"
    pictures = {}
    for mask in reduction.masks:
        for number in mask.numbers:
            name = slit_name(mask.group, number)
            if name in shown:
                pictures[name] = picture_of_slit(mask.load_slit(number))
    for name in (one for one in shown if one in pictures):
        flags = "; ".join(dict.fromkeys(row["flags"] for row in quality.rows if row["slit_id"] == name and row["flags"]))
        yield f'<h3 id="{_text(name)}">{_text(name)} <span class="state {shown[name]}">{shown[name]}</span></h3>'
        if flags:
            yield f"<p>{_text(flags)}</p>"
        yield _img(pictures[name], name)


def _everything(quality: Quality) -> Iterator[str]:
    units = {column["name"]: column.get("unit", "") for column in column_definitions()[1]}
    yield "<h2>All figures</h2><details><summary>a row a slit and exposure</summary><div class='scroll'><table>"
    heads = "".join(f"<th>{name.replace('_', ' ')}{f' [{units[name]}]' if units[name] else ''}</th>" for name in _SHOWN)
    yield f"<tr><th>file</th><th>slit</th><th>state</th>{heads}</tr>"
    for row in quality.rows:
        cells = "".join(f'<td class="number">{_number(row[name])}</td>' for name in _SHOWN)
        yield (
            f"<tr><td>{_text(row['file'] or '')}</td><td>{_text(row['slit'] or '')}</td>"
            f'<td class="{row["state"]}">{row["state"]}</td>{cells}</tr>'
        )
    yield "</table></div></details>"
    yield "<h2>The limits</h2><table><tr><th>figure</th><th>unsure</th><th>rejected</th></tr>"
    for limit in quality.limits:
        side = "below" if limit.below else "beyond"
        name = _text(limit.figure.replace("_", " "))
        yield f"<tr><td>{name}</td><td>{side} {limit.unsure:g}</td><td>{side} {limit.rejected:g}</td></tr>"
    yield "</table>"


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.3g}"


def _text(text: str) -> str:
    return html.escape(text)


def _img(content: bytes, says: str) -> str:
    return f'<img alt="{_text(says)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
