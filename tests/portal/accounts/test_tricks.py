"""Ways round a gate that have worked elsewhere."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest

from ops.house import House
from tests.support.portal import PASSWORD, call, raw

PLACE = "gateb_r1/spectra/00/L000000.fits"

PATHS = [
    "//getproduct/{p}",
    "/getproduct//{p}",
    "/gatea_r1/../getproduct/{p}",
    "/getproduct/gatea_r1/../{p}",
    "/getproduct/gatea_r1/%2e%2e/{p}",
    "/getproduct/gatea_r1/..%2f{p}",
    "/getproduct/gatea_r1%2f..%2f{p}",
    "/./getproduct/{p}",
    "/GETPRODUCT/{p}",
    "/getproduct/{p}?",
    "/getproduct/{p}?x=/gatea_r1/q/",
    "/getproduct/{p};/gatea_r1/",
    "/getproduct/{p}#/gatea_r1/q/x",
    "/%67etproduct/{p}",
    "/getproduct%2f{p}",
    "//services/overview/admin/gateb_r1/q",
    "/gatea_r1/q/../../gateb_r1/q/ssap/ssap.xml",
    "/gatea_r1//gateb_r1/q/ssap/ssap.xml",
    "//tap/sync?REQUEST=doQuery&LANG=ADQL&QUERY=SELECT+1+FROM+ivoa.obscore",
    "/@dachs",
    "/@away",
    "/@login",
    "/gate/",
    "/gate?x=1",
    "/gatea_r1/q/dl/dlmeta?ID=ivo://org.specola.demo/gateb_r1/q/ssap?L000000",
    "/getproduct/gatea_r1/?key={p}",
    "/getproduct/gatea_r1/spectra/00/x.fits?key={p}",
    "/gatea_r1/%00",
    "/gatea_r1/q/..;/..;/gateb_r1/q/ssap/ssap.xml",
    "/%2e%2e/",
    "/gatea_r1\\..\\gateb_r1\\q",
]


def _ask(house: House, line: str, *headers: str) -> tuple[int, bytes]:
    port = house.base_port + 2
    lines = [line, *(headers if any(one.startswith("Host:") for one in headers) else ("Host: x", *headers)), "Connection: close"]
    return raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def _shows(body: bytes) -> bool:
    """Something of the other survey's release, beyond what the request itself said."""
    return b"SIMPLE  =" in body or b"Load test" in body or b"Target " in body


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths_lead_nobody_in(path: str, house: House, staged: SimpleNamespace) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PROPFIND"):
        status, body = _ask(house, f"{method} {path.format(p=PLACE)} HTTP/1.1", "Content-Length: 0")
        # 400 and 405 are nginx's own, for what it does not take for HTTP
        assert status in {400, 401, 405}, (method, status)
        assert not _shows(body)
    token = staged.people["partial"].token
    status, body = _ask(house, f"GET {path.format(p=PLACE)} HTTP/1.1", f"Authorization: Bearer {token}")
    assert not _shows(body), body[:300]
    assert status in {400, 403, 404} or "gatea_r1" in path


@pytest.mark.parametrize(
    "line",
    [
        "GET http://127.0.0.1/getproduct/{p} HTTP/1.1",
        "GET http://x/gatea_r1/q/../../getproduct/{p} HTTP/1.1",
        "GET /getproduct/{p} HTTP/1.0",
        "GET /getproduct/{p}",
        "get /getproduct/{p} HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT 127.0.0.1:80 HTTP/1.1",
        "TRACE / HTTP/1.1",
    ],
)
def test_odd_requests_lead_nobody_in(line: str, house: House, staged: SimpleNamespace) -> None:
    status, body = _ask(house, line.format(p=PLACE))
    assert status in {0, 400, 401, 405}
    assert not _shows(body)


HEADERS = [
    "Host: 127.0.0.1:1",
    "Host: gate",
    "Range: bytes=0-99",
    "If-None-Match: *",
    "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
    "X-Specola-User: operator",
    "X-Specola-Gate: x",
    "X-Original-URI: /gatea_r1/q/info",
    "X-Original-URL: /",
    "X-Rewrite-URL: /",
    "X-HTTP-Method-Override: OPTIONS",
    "X-Real-IP: 127.0.0.1",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: 127.0.0.1:8081",
    "Expect: 100-continue",
    "Upgrade: h2c",
    "Authorization: Basic",
    "Authorization: Basic !",
    "Authorization: Basic Og==",
    "Authorization: Bearer",
    "Authorization: Bearer specola_00000000_" + "0" * 48,
    "Authorization: Negotiate x",
    "Authorization: Basic " + "A" * 8000,
    "Cookie: sessionid=x",
    "Authorization: Basic " + base64.b64encode(b"gavoadmin:x").decode(),
    "Authorization: \xff\xfe",
    "Authorization: Basic " + base64.b64encode(b"operator\0:x").decode(),
    "Authorization: Basic " + base64.b64encode(b"\xff:\xfe").decode(),
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda text: text[:40])
def test_odd_headers_lead_nobody_in(header: str, house: House, staged: SimpleNamespace) -> None:
    for path in (f"/getproduct/{PLACE}", "/tap/capabilities", "/gateb_r1/q/ssap/ssap.xml"):
        status, body = _ask(house, f"GET {path} HTTP/1.1", header)
        assert status in {400, 401}, (path, status)
        assert not _shows(body)


def test_a_member_can_not_pose_as_somebody_else_to_dachs(house: House, staged: SimpleNamespace) -> None:
    """Jobs belong to whom the gate let in, whatever a client says of itself."""
    member, operator = staged.people["member"], staged.people["operator"]
    body = "LANG=ADQL&QUERY=SELECT+1+FROM+ivoa.obscore"
    status, answer = raw(
        house.base_port + 2,
        "POST /tap/async HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Specola-User: operator\r\n"
        f"Authorization: Bearer {member.token}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(),
    )
    assert status == 303
    job = answer.split(b"ocation: ")[1].split(b"\r\n")[0].decode().rpartition("/async/")[2]
    path = f"/tap/async/{job}"
    assert _ask(house, f"GET {path}/owner HTTP/1.1", f"Authorization: Bearer {member.token}")[1].count(b"member") == 1
    assert _ask(house, f"GET {path} HTTP/1.1", f"Authorization: Bearer {operator.token}")[0] == 401
    assert job.encode() not in _ask(house, "GET /tap/async HTTP/1.1", f"Authorization: Bearer {operator.token}")[1]
    assert job.encode() in _ask(house, "GET /tap/async HTTP/1.1", f"Authorization: Bearer {member.token}")[1]


def test_the_server_behind_nginx_answers_nobody_else(house: House, staged: SimpleNamespace) -> None:
    member = staged.people["member"]
    basic = base64.b64encode(f"member:{PASSWORD}".encode()).decode()
    for server in staged.archive.servers:
        for path in ("/", "/tap/capabilities", "/getproduct/" + PLACE, "//services/overview/admin", "/static/x"):
            for extra in ("X-Specola-Gate: ", "X-Specola-Gate: x\r\nX-Specola-Gate: y", f"Authorization: Basic {basic}"):
                request = (
                    f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\nX-Specola-User: {member.username}\r\n\r\n"
                )
                status, answer = raw(server.port, request.encode())
                assert status == 403, (path, extra)
                assert b"login only" in answer


def test_the_question_of_nginx_is_not_for_clients(house: House, staged: SimpleNamespace) -> None:
    status, body = raw(house.base_port, b"GET /gate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-URI: /\r\n\r\n")
    assert status == 404
    token = staged.people["member"].token.encode()
    for path in (b"/gate", b"//gate", b"/%67ate", b"/./gate", b"/gate/", b"/x/../gate"):
        request = (
            b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
        )
        status, body = raw(house.base_port, request)
        assert (status, b"member" in body.lower()) == (404, False), path


def test_every_attempt_left_a_trace(house: House, staged: SimpleNamespace) -> None:
    _ask(house, "GET / HTTP/1.1", "Authorization: Basic " + base64.b64encode(b"no-such-user:x").decode())
    code = 'answer = list(LoginEvent.objects.filter(username="no-such-user").values_list("way", "outcome")[:1])'
    assert call(house, code) in ([["basic", "refused"]], [["basic", "locked"]])
