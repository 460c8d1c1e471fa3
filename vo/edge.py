"""What a request must be like before any protocol looks at it, and how errors of the caller are told from errors of ours.

DaCHS 2.7 answers some wrong requests with 500 or, on TAP, with 200. :func:`install` puts a check in front of all of its
pages and gives caller's errors a 4xx; docs/limits.md has the table. Only the server has pages: elsewhere nothing is done.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import urllib.parse
import urllib.request
from typing import Any

from gavo import base, svcs, utils
from gavo.utils import ostricks

from vo import turns

__all__ = ["check_address", "check_parameters", "install"]

_ORDER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_FORM_CHOICES = {"_DBOPTIONS_DIR": {"ASC", "DESC"}}
_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|[\w.]+|[^\w\s]")
MOST_WORDS = 4000
"""Words and signs of an ADQL query: a list of some 2,000 values. The parser takes about 2 ms for each."""
DEEPEST = 20
"""Parentheses within parentheses: more than anybody writes by hand, and far from the depth at which Python gives up."""
MOST_VALUES = 20000
"""Values all parameters of a request may have; as many as the identifiers a datalink call takes."""


class BadRequestError(base.ValidationError):  # type: ignore[misc]
    """A request no protocol would understand."""


def check_parameters(parameters: dict[str, list[Any]], files: set[str] | None) -> None:
    """Look at the parameters of a request.

    Parameters
    ----------
    parameters
        Values by name; what is no UTF-8 is of another type than str.
    files
        Names of uploaded files, which may hold anything; None where the request has no body.

    Raises
    ------
    BadRequestError
        A value is no text, has a NUL, or is of a parameter of DaCHS' own that takes a few words only; MAXREC is no
        number from 0.
    """
    if sum(len(values) for values in parameters.values()) > MOST_VALUES:
        raise BadRequestError(f"more than {MOST_VALUES} values", "(all)")
    for name, values in parameters.items():
        shown = name.encode("ascii", "replace").decode()[:40]
        if "\0" in name:
            raise BadRequestError("found a NUL, expected text", shown)
        if files is None and name.upper() == "UPLOAD" and any("param:" in str(value) for value in values):
            raise BadRequestError("refers to a file, and none was sent", shown)
        if name not in (files or ()):
            for value in values:
                _check_value(name, value, shown)


def _check_value(name: str, value: Any, shown: str) -> None:
    if not isinstance(value, str):
        raise BadRequestError("found bytes that are no UTF-8, expected text", shown)
    if "\0" in value:
        raise BadRequestError("found a NUL, expected text", shown)
    if name in _FORM_CHOICES and value not in _FORM_CHOICES[name]:
        raise BadRequestError(f"found {value[:40]!r}, expected one of {sorted(_FORM_CHOICES[name])}", shown)
    if name == "_DBOPTIONS_ORDER" and value and not _ORDER.fullmatch(value):
        raise BadRequestError(f"found {value[:40]!r}, expected the name of a column", shown)
    if name.upper() == "QUERY":
        _check_query(value, shown)
    if name.upper() == "_TIMEOUT" and value.strip():
        _check_timeout(value, shown)
    if name.upper() == "MAXREC" and value.strip() and not re.fullmatch(r"\d{1,18}", value.strip()):
        raise BadRequestError(f"found {value[:40]!r}, expected a number of rows, at least 0", shown)


def _check_timeout(text: str, shown: str) -> None:
    """DaCHS lets anybody ask for any time."""
    longest = int(base.getConfig("web", "sqltimeout"))
    try:
        fits = 0 < float(text) <= longest
    except ValueError:
        fits = False
    if not fits:
        raise BadRequestError(f"found {text[:40]!r}, expected a number of seconds, at most {longest}", shown)


def _check_query(text: str, shown: str) -> None:
    """Refuse a query that takes DaCHS' parser more than some ten seconds, in which nobody else's is parsed."""
    depth = deepest = words = 0
    for match in _WORD.finditer(text):
        words += 1
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        deepest = max(deepest, depth)
    if words > MOST_WORDS:
        raise BadRequestError(
            f"found {words} words and signs, expected at most {MOST_WORDS}; upload a table and join with it for long lists", shown
        )
    if deepest > DEEPEST:
        raise BadRequestError(f"found parentheses {deepest} deep, expected at most {DEEPEST}", shown)


def check_address(address: str) -> None:
    """Refuse to fetch an upload from this machine or a private network, which the caller could not reach himself.

    Raises
    ------
    ValidationError
        The address's host is, or its name leads to, such a place.
    """
    parts = urllib.parse.urlsplit(address)
    own = urllib.parse.urlsplit(base.getConfig("web", "serverurl"))
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        # what this archive serves, as the result of an earlier query, anybody may have
        return
    if parts.scheme not in {"http", "https", "ftp"} or not parts.hostname:
        raise base.ValidationError(f"found {address[:80]!r}, expected an address with http, https or ftp", "UPLOAD")
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise base.ValidationError(f"the host of {address[:80]!r} is not known", "UPLOAD") from error
    for *_, place in found:
        if not ipaddress.ip_address(str(place[0]).partition("%")[0]).is_global:
            message = f"{address[:80]!r} is not on the public network; send the table with the request"
            raise base.ValidationError(message, "UPLOAD")


def install() -> None:
    """Put the checks in front of the pages of this process, if it has any."""
    _guard_uploads()
    if "gavo.web.root" in sys.modules:
        _guard_requests()
        _give_errors_a_status()
        _guard_previews()


def _guard_requests() -> None:
    from gavo.protocols import dali
    from gavo.web import root

    class BadRequestPage(dali.resource.Resource):  # type: ignore[misc]
        isLeaf = True  # noqa: N815 - twisted's name

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self._error = error

        def render(self, request: Any) -> Any:
            return dali.serveDALIError(request, self._error, httpStatus=400)

    get_child = root.ArchiveService.getChild

    def guarded(self: Any, name: Any, request: Any) -> Any:
        try:
            check_parameters(request.strargs, _names_of_files(request))
        except BadRequestError as error:
            request.popSegments(name)
            return BadRequestPage(error)
        for key in [key for key in request.strargs if key.upper() == "RESPONSEFORMAT"]:
            # DALI 1.1, section 2.2: without a value it is as if it were not given. DaCHS looks for a format without a name.
            if not any(request.strargs[key]):
                del request.strargs[key]
        return get_child(self, name, request)

    root.ArchiveService.getChild = guarded


def _names_of_files(request: Any) -> set[str] | None:
    """Names of the files sent with a request; None where it has no body. DaCHS 2.7 has them in ``fields``, 2.11 in ``files``."""
    if hasattr(request, "files"):
        return set(request.files) if request.method == b"POST" else None
    fields = getattr(request, "fields", None)
    return None if fields is None else {item.name for item in getattr(fields, "list", None) or () if item.filename}


def _give_errors_a_status() -> None:
    """TAP's errors have status 400 (DALI 1.1, section 4.2), and so has what DaCHS calls an uncaught ValidationError."""
    from gavo.protocols import dali
    from gavo.protocols.uws import JobNotFound
    from gavo.web import asyncrender, syncrender, weberrors

    class CallersErrorPage(weberrors.ErrorPage):  # type: ignore[misc]
        handles = BadRequestError
        status = 400
        titleMessage = "Bad request"  # noqa: N815 - DaCHS' names
        beforeMessage = "This request can not be answered:"  # noqa: N815
        afterMessage = ""  # noqa: N815

    get_error_page = weberrors.getErrorPage

    def error_page(kind: type[Exception]) -> Any:
        if issubclass(kind, turns.BusyError):
            return BusyPage
        page = get_error_page(kind)
        if page is weberrors.InternalServerErrorPage and issubclass(kind, base.ValidationError):
            return CallersErrorPage
        return page

    class BusyPage(weberrors.ErrorPage):  # type: ignore[misc]
        handles = turns.BusyError
        status = 503
        titleMessage = "Busy"  # noqa: N815 - DaCHS' names
        beforeMessage = "This query can not be answered now:"  # noqa: N815
        afterMessage = ""  # noqa: N815

        def render(self, request: Any) -> Any:
            request.setHeader("retry-after", str(turns.RETRY))
            return super().render(request)

    def sync_failure(_self: Any, failure: Any, request: Any) -> Any:
        if isinstance(failure.value, turns.BusyError):
            request.setHeader("retry-after", str(turns.RETRY))
            return dali.serveDALIError(request, failure.value, httpStatus=503)
        callers = isinstance(failure.value, base.Error)
        if not callers:
            base.ui.notifyFailure(failure)
        return dali.serveDALIError(request, failure.value, httpStatus=400 if callers else 500)

    def async_failure(_self: Any, failure: Any, request: Any, **code: int) -> Any:
        if isinstance(failure.value, svcs.Authenticate | svcs.SeeOther):
            return weberrors.renderDCErrorPage(failure, request)
        # DaCHS 2.7 calls it httpCode, 2.11 httpStatus
        status = 404 if isinstance(failure.value, JobNotFound) else next(iter(code.values()), 400)
        return dali.serveDALIError(request, failure.value, httpStatus=status)

    weberrors.getErrorPage = error_page
    syncrender.SyncRenderer._handleFailure = sync_failure  # noqa: SLF001
    asyncrender.UWSResource._deliverError = async_failure  # noqa: SLF001
    dali.DALIErrorResource.render = lambda self, request: dali.serveDALIError(request, self.errInfo, httpStatus=400)


def _guard_previews() -> None:
    """DaCHS refuses a product under embargo, but serves its preview."""
    from gavo.protocols import products

    get_product, get_preview = products.getProductForRAccref, products.PreviewCacheManager.getPreviewFor

    def product_for(accref: Any, groups: Any = None) -> Any:
        return products.UnauthorizedProduct.fromRAccref(products.RAccref.fromString(accref), groups) or get_product(
            accref, groups
        )

    def preview(product: Any) -> Any:
        if isinstance(product, products.UnauthorizedProduct):
            raise svcs.Authenticate
        return get_preview(product)

    products.getProductForRAccref = product_for
    products.PreviewCacheManager.getPreviewFor = preview


def _guard_uploads() -> None:
    """Every upload by address goes through gavo.utils.urlopenRemote."""
    original = utils.urlopenRemote

    def guarded(url: str, *args: Any, **named: Any) -> Any:
        check_address(url)
        return original(url, *args, **named)

    utils.urlopenRemote = guarded
    ostricks._restrictedURLOpener.add_handler(_CheckedRedirects())  # noqa: SLF001


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """An address on the public network may lead to one that is not."""

    handler_order = 400  # before urllib's own

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Check where it leads, then do what urllib does."""
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
