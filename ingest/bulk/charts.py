"""Charts as SVG that goes into a page: no script, no asset, the page's colours (light and dark), and a title in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from ingest.bulk.columns import Floats
from ingest.bulk.completeness import Rate
from ingest.bulk.statistics import Histogram

__all__ = ["bars", "histogram", "rates", "sky"]

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 22, 12, 44
_SERIES = ("one", "two", "three")

_LEGEND = 26
"""Height of the line above a chart that says what its colours are."""


def _svg(content: Iterable[str], about: str, width: int = _WIDTH, height: int = _HEIGHT) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(about)}"><title>{escape(about)}</title>'
    return f"{head}{''.join(content)}</svg>"


def _ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers between two limits."""
    span = (high - low) or 1.0
    raw = span / wanted
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if raw <= power * factor * 1.0001)
    first = np.ceil(low / step - 1e-9)
    return [float(step * number) for number in np.arange(first, np.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value + 0.0:,.10g}"


class _Axes:
    """Two linear axes and their frame, below the names of the series where there are several."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], names: Sequence[str]) -> None:
        self.x, self.y = x, y
        self.names = names if len(names) > 1 else ()
        self.top = _TOP + (_LEGEND if self.names else 0)

    def px(self, value: float) -> float:
        return round(_LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (_WIDTH - _LEFT - _RIGHT), 2)

    def py(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - (value - self.y[0]) / (self.y[1] - self.y[0]) * (_HEIGHT - self.top - _BOTTOM), 2)

    def frame(self, label_x: str, label_y: str, *, per_cent: bool = False) -> Iterator[str]:
        """Grid, ticks and labels."""
        floor = _HEIGHT - _BOTTOM
        for value in _ticks(*self.y):
            place = self.py(value)
            text = f"{value * 100 + 0.0:.0f} %" if per_cent else _number(value)
            yield f'<path class="grid" d="M{_LEFT} {place}H{_WIDTH - _RIGHT}"/>'
            yield f'<text x="{_LEFT - 7}" y="{place + 4}" text-anchor="end">{text}</text>'
        for value in _ticks(*self.x, wanted=8):
            place = self.px(value)
            yield f'<path class="tick" d="M{place} {floor}v5"/>'
            yield f'<text x="{place}" y="{floor + 18}" text-anchor="middle">{_number(value)}</text>'
        yield f'<path class="axis" d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>'
        centre = (_LEFT + _WIDTH - _RIGHT) / 2
        yield f'<text class="label" x="{centre}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(label_x)}</text>'
        middle = (self.top + floor) / 2
        yield f'<text class="label" transform="translate(-4 {middle}) rotate(-90)" text-anchor="middle">{escape(label_y)}</text>'
        for number, name in enumerate(self.names):
            x = _LEFT + 110 * number
            yield f'<rect class="{_SERIES[number]}" x="{x}" y="{_TOP - 4}" width="12" height="12"/>'
            yield f'<text x="{x + 18}" y="{_TOP + 6}">{escape(name)}</text>'


def histogram(data: Histogram, label: str, what: str, about: str) -> str:
    """Steps of counts; several series lie on one another, the first behind."""
    highest = max(int(counts.max(initial=1)) for counts in data.counts.values())
    axes = _Axes((float(data.edges[0]), float(data.edges[-1])), (0.0, highest * 1.06), list(data.counts))

    def content() -> Iterator[str]:
        yield from axes.frame(label, what)
        for number, counts in enumerate(data.counts.values()):
            path = f"M{axes.px(data.edges[0])} {axes.py(0)}"
            for edge, following, count in zip(data.edges[:-1], data.edges[1:], counts, strict=True):
                path += f"L{axes.px(edge)} {axes.py(count)}H{axes.px(following)}"
            yield f'<path class="{_SERIES[number]}" d="{path}V{axes.py(0)}Z"/>'

    return _svg(content(), about)


def rates(data: Sequence[Rate], label: str, about: str) -> str:
    """Shares as a function of magnitude or redshift, with the binomial error of each."""
    used = np.any([one.shown for one in data], axis=0)
    edges = data[0].edges
    first, last = np.flatnonzero(used)[[0, -1]] if used.any() else (0, len(used) - 1)
    axes = _Axes((float(edges[first]), float(edges[last + 1])), (0.0, 1.0), [one.name for one in data])

    def content() -> Iterator[str]:
        yield from axes.frame(label, "share", per_cent=True)
        for number, one in enumerate(data):
            middle = (edges[:-1] + edges[1:]) / 2
            # Bins with too few objects break the line.
            path = ""
            for place in np.flatnonzero(one.shown):
                x, good, every = middle[place], one.good[place], one.all[place]
                share = good / every
                error = float(np.sqrt(max(share * (1 - share), 0.25 / every) / every))
                low, high = max(share - error, 0.0), min(share + error, 1.0)
                yield f'<path class="line {_SERIES[number]}" d="M{axes.px(x)} {axes.py(low)}V{axes.py(high)}"/>'
                path += f"{'L' if place and one.shown[place - 1] else 'M'}{axes.px(x)} {axes.py(share)}"
            yield f'<path class="line {_SERIES[number]}" d="{path}"/>' if path else ""

    return _svg(content(), about)


def bars(data: Sequence[tuple[str, int]], about: str) -> str:
    """A bar a name, with its number."""
    row, text = 26, 150
    most = max((number for _, number in data), default=1) or 1
    room = _WIDTH - text - 80

    def content() -> Iterator[str]:
        for place, (name, number) in enumerate(data):
            y = place * row + 4
            length = round(room * number / most, 2)
            yield f'<text x="{text - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            yield f'<rect class="one" x="{text}" y="{y}" width="{max(length, 1)}" height="18"/>'
            yield f'<text x="{text + length + 6}" y="{y + 14}">{number:,}</text>'

    return _svg(content(), about, height=row * len(data) + 8)


def sky(outlines: Sequence[Floats], points: Floats, about: str) -> str:
    """Where the data are: a panel for each of a few fields, the whole sky (Hammer's projection) where they are many.

    Parameters
    ----------
    outlines
        Polygons, (n_corners, 2), degrees.
    points
        Positions, (n, 2), degrees.
    """
    centres = np.concatenate([np.array([_centre(one) for one in outlines]).reshape(-1, 2), points])
    fields = _fields(centres)
    if len(fields) > 3:
        return _whole_sky(points if len(points) else centres, about)
    width = (_WIDTH - 20 * (len(fields) - 1)) / len(fields)
    content: list[str] = []
    for number, members in enumerate(fields):
        content += _panel(centres[members], outlines, points, (width + 20) * number, width)
    return _svg(content, about, height=340)


def _centre(outline: Floats) -> Floats:
    reference = outline[0, 0]
    near = np.column_stack([(outline[:, 0] - reference + 180) % 360 - 180 + reference, outline[:, 1]])
    return np.asarray(near.mean(axis=0))


def _fields(centres: Floats, gap: float = 6.0) -> list[npt.NDArray[np.intp]]:
    """Groups of positions that gaps of some degrees in right ascension or declination keep apart."""
    groups = [np.arange(len(centres))]
    for axis in (0, 1):
        divided: list[npt.NDArray[np.intp]] = []
        for group in groups:
            order = group[np.argsort(centres[group, axis], kind="stable")]
            places = np.flatnonzero(np.diff(centres[order, axis]) > gap) + 1
            parts = np.split(order, places)
            around = axis == 0 and len(parts) > 1 and centres[parts[0][0], 0] + 360 - centres[parts[-1][-1], 0] <= gap
            divided += [np.concatenate([parts[-1], parts[0]]), *parts[1:-1]] if around else parts
        groups = divided
    return sorted(groups, key=lambda group: float(centres[group[0], 0]))


def _panel(centres: Floats, outlines: Sequence[Floats], points: Floats, left: float, width: float) -> list[str]:
    """A field on the plane that touches the sky in its middle (small fields: east to the left, equal scales)."""
    ra0 = centres[0, 0]
    middle_ra = float(np.median((centres[:, 0] - ra0 + 180) % 360 - 180) + ra0)
    middle_dec = float(np.median(centres[:, 1]))

    def plane(positions: Floats) -> Floats:
        east = ((positions[:, 0] - middle_ra + 180) % 360 - 180) * np.cos(np.radians(middle_dec))
        return np.column_stack([-east, positions[:, 1] - middle_dec])

    near = plane(centres)
    reach = float(np.abs(near).max()) + 0.02
    corners = [one for one in map(plane, outlines) if np.abs(one).max() < reach + 3]
    everything = np.concatenate([near, *corners])
    middle = (everything.min(axis=0) + everything.max(axis=0)) / 2
    reach = 1.08 * float(np.abs(everything - middle).max()) + 0.002
    size = min(width - 10, 262.0)
    scale, x0, y0 = size / (2 * reach), left + width / 2, 16 + size / 2

    def place(positions: Floats) -> list[str]:
        return [f"{x0 + scale * x:.1f} {y0 - scale * y:.1f}" for x, y in positions - middle]

    found = [f'<rect class="frame" x="{x0 - size / 2:.1f}" y="16" width="{size:.1f}" height="{size:.1f}"/>']
    seen = plane(points) if len(points) else np.zeros((0, 2))
    seen = seen[np.abs(seen - middle).max(axis=1) <= reach] if len(seen) else seen
    if len(seen):
        found.append(f'<path class="dots" d="{"".join(f"M{where}h0" for where in place(seen))}"/>')
    found += [f'<path class="outline" d="M{"L".join(place(one))}Z"/>' for one in corners]
    text = f"RA {middle_ra % 360:.3f}°, Dec {middle_dec:+.3f}°"
    bottom = 16 + size
    found.append(f'<text class="label" x="{x0}" y="{bottom + 20:.1f}" text-anchor="middle">{text}</text>')
    span = 2 * reach
    side = f"{span:.2g}° wide" if span >= 0.5 else f"{span * 60:.2g} arcmin wide"
    found.append(f'<text x="{x0}" y="{bottom + 38:.1f}" text-anchor="middle">{side}, north up, east left</text>')
    return found


def _whole_sky(points: Floats, about: str) -> str:
    def project(positions: Floats) -> Floats:
        lon = np.radians((180.0 - positions[:, 0] + 180) % 360 - 180)
        lat = np.radians(positions[:, 1])
        scale = np.sqrt(1 + np.cos(lat) * np.cos(lon / 2))
        return np.column_stack([2 * np.sqrt(2) * np.cos(lat) * np.sin(lon / 2) / scale, np.sqrt(2) * np.sin(lat) / scale])

    unit = (_WIDTH - 20) / (4 * np.sqrt(2))
    x0, y0 = _WIDTH / 2, 10 + np.sqrt(2) * unit

    def path(positions: Floats) -> str:
        return "L".join(f"{x0 + unit * x:.1f} {y0 - unit * y:.1f}" for x, y in project(positions))

    def content() -> Iterator[str]:
        yield f'<ellipse class="frame" cx="{x0}" cy="{y0:.1f}" rx="{2 * np.sqrt(2) * unit:.1f}" ry="{np.sqrt(2) * unit:.1f}"/>'
        declinations = np.linspace(-90, 90, 61)
        for ra in range(0, 360, 60):
            yield f'<path class="grid" d="M{path(np.column_stack([np.full(61, ra + 1e-6), declinations]))}"/>'
        for dec in (-60, -30, 0, 30, 60):
            parallel = np.column_stack([np.linspace(1e-6, 360 - 1e-6, 121), np.full(121, dec)])
            yield f'<path class="grid" d="M{path(parallel)}"/>'
        dots = "".join(f"M{x0 + unit * x:.1f} {y0 - unit * y:.1f}h0" for x, y in project(points))
        yield f'<path class="dots large" d="{dots}"/>'
        text = "whole sky, RA 180° in the middle, east left"
        yield f'<text x="{x0}" y="{y0 + np.sqrt(2) * unit + 18:.1f}" text-anchor="middle">{text}</text>'

    return _svg(content(), about, height=int(20 + 2 * np.sqrt(2) * unit + 20))
