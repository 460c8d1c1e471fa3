"""Small corrections of DaCHS 2.7 that no RD can make; resdir/streams.rd applies them when it is read.

Each is one function that says what is wrong. All of them leave alone a DaCHS in which the place they mend looks different,
except that a test in tests/vo/ then fails.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import Any

from gavo import adql, base, formats, rscdef
from gavo.protocols import adqlglue, uws
from gavo.registry import builders
from gavo.votable import enc_tabledata

from vo import answers, edge, packing, parsing

__all__ = ["apply"]


@functools.cache
def apply() -> None:
    """Make all corrections; a second call does nothing."""
    _null_arrays()
    _service_def_ucd()
    _not_equal()
    _jquery()
    _words_for_tests()
    _limits_of_derived_columns()
    _rights_of_collections()
    _no_private_attributes()
    _no_geojson()
    parsing.install()
    packing.install()
    answers.install()
    edge.install()
    _synchronous_queries()
    _jobs_begun_at_once()


def _null_arrays() -> None:
    """In TABLEDATA a NULL array of a fixed number of floats is an empty cell.

    VOTable 1.3 (section 2.2.2) allows that for arrays of variable length; of a point, STILTS' votlint says "Bad double
    string". NaN for each number is what the standard has for floats, and what DaCHS itself writes in BINARY.
    """
    original = enc_tabledata._getArrayEncoderLines  # noqa: SLF001

    def lines(field: Any) -> list[str]:
        written: list[str] = original(field)
        if field.datatype in {"float", "double"} and not field.hasVarLength() and "  tokens.append('')" in written:
            nans = " ".join(["NaN"] * field.getLength())
            return [line if line != "  tokens.append('')" else f"  tokens.append('{nans}')" for line in written]
        return written

    enc_tabledata._getArrayEncoderLines = lines  # noqa: SLF001


def _service_def_ucd() -> None:
    """DataLink 1.1, table 1, has meta.ref for service_def; DaCHS 2.7 still has what version 1.0 said."""
    base.resolveCrossId("//datalink#dlresponse").getColumnByName("service_def").ucd = "meta.ref"


def _not_equal() -> None:
    """ADQL's inequality is ``<>`` (ADQL 2.0, section 2.3.4, as in SQL); DaCHS 2.7 knows only ``!=``."""
    operator = adql.getSymbols()["compOp"]
    if not operator.re.fullmatch("<>"):
        operator.re = re.compile("=|!=|<>|<=|>=|<|>")
        operator.re_match = operator.re.match


def _limits_of_derived_columns() -> None:
    """In the answer to a query a column that was computed from one of a table does not have that one's limits.

    DaCHS copies them with the rest of the description. COUNT, AVG or a multiple then claim a wrong minimum and maximum, and
    an array made of a column fails, as its limits are no array.
    """
    original = adqlglue._makeColumnFromFieldInfo  # noqa: SLF001

    def made(context: Any, name: str, info: Any) -> Any:
        if len(info.userData) == 1 and "src-expression" in info.properties:
            source = info.userData[0]
            if source.values and source.values.min is not None:
                bare = base.makeStruct(rscdef.Values, nullLiteral=source.values.nullLiteral)
                info.userData = (source.change(values=bare),)
        return original(context, name, info)

    adqlglue._makeColumnFromFieldInfo = made  # noqa: SLF001


def _rights_of_collections() -> None:
    """The registry record of a collection of tables says on what terms they are to be had, as a service's record does."""
    original = builders.ResourceMaker._makeResource  # noqa: SLF001

    def made(self: Any, resource: Any, sets: Any) -> Any:
        record = original(self, resource, sets)
        if isinstance(self, builders.DataCollectionResourceMaker):
            # VODataService 1.2: rights stand before the capabilities, which come next
            record = record[builders._rightsBuilder.build(resource)]  # noqa: SLF001
        return record

    builders.ResourceMaker._makeResource = made  # noqa: SLF001


def _no_private_attributes() -> None:
    """VOSI's tables and the registry do without the attributes for limits of columns that DaCHS has in a namespace of its own.

    Validators that can not fetch its schema (STILTS' taplint without the network) report an error for each of them.
    """
    rscdef.Column.getStatistics = lambda _self: {}


def _no_geojson() -> None:
    """DaCHS offers GeoJSON for every answer, and can write it of none of ours: a table has to be annotated for it.

    It finds out after the answer has begun, and ends it with an error nobody can read.
    """
    registry = formats.common.FORMATS_REGISTRY
    if registry.writerRegistry.pop("geojson", None):
        for name in [mime for mime, key in registry.mimeToKey.items() if key == "geojson"]:
            del registry.mimeToKey[name]


def _words_for_tests() -> None:
    """DaCHS knows two queries for its own tests, which anybody may send: one sleeps as long as a job may run, one crashes."""
    taprunner = sys.modules.get("gavo.protocols.taprunner")
    if hasattr(taprunner, "_hangIfMagic"):
        taprunner._hangIfMagic = lambda *_: None  # noqa: SLF001


def _synchronous_queries() -> None:
    """The server answers synchronous TAP queries as vo/synctap.py does; other programs of DaCHS answer none."""
    if "gavo.web.root" in sys.modules:
        from vo import synctap

        synctap.install()


def _jobs_begun_at_once() -> None:
    """A job that is made with PHASE=RUN begins at once (UWS 1.1, section 2.2.3.1).

    DaCHS 2.7 leaves it PENDING, and astroquery, which makes all of its asynchronous queries so, waits for it without end.
    """
    asyncrender = sys.modules.get("gavo.web.asyncrender")
    if asyncrender is None:
        return

    def made(self: Any, request: Any) -> None:
        job = self.workerSystem.getNewIdFromRequest(request)
        if request.uwsArgs.get("phase") == "RUN":
            self.workerSystem.changeToPhase(job, uws.QUEUED)
        asyncrender.redirectUWS(self.service.getURL(self.renderer), str(job))

    asyncrender.JoblistResource.render_POST = made


def _jquery() -> None:
    """DaCHS' pages put their script together from Debian's jQuery UI, one of whose files has had another name since 1.13."""
    old, new = "jquery-ui/ui/jquery-1-7.js", "jquery-ui/ui/jquery-patch.js"
    if "gavo.web.ifpages" in sys.modules:
        maker = sys.modules["gavo.web.ifpages"].GavoJquery
        if not (Path(maker.INSTALL_ROOT) / old).exists() and (Path(maker.INSTALL_ROOT) / new).exists():
            maker.PARTS = [new if part == old else part for part in maker.PARTS]
