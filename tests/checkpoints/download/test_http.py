"""HTTP: redirects that lead nowhere harmful, mirrors, proxies, and secrets that stay with their servers."""

import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keras_resnet import __version__
from keras_resnet.checkpoints.download import http, resume
from keras_resnet.checkpoints.download.fetch import fetch
from tests.helpers.web import DATA, NAME, SHA256, Web, file, files, get, redirect, refused, status

pytestmark = pytest.mark.one_backend


def test_the_request_names_the_package_and_wants_the_bytes_as_they_are(net: Web) -> None:
    net.answers["/net.pth"] = [file()]
    get(net)
    headers = net.requests[0][1]
    assert headers["User-Agent"] == f"keras3-resnet/{__version__}"
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers


# ---- Redirects.


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to", ["{url}/a/b%20c.pth?x=y z", "/a/b%20c.pth?x=y z", "../a/b%20c.pth?x=y z", "a/b%20c.pth?x=y z"]
)
def test_redirects_are_followed_with_their_range(code: int, to: str, net: Web) -> None:
    net.answers["/net.pth"] = [redirect(to.format(url=net.url), code)]
    net.answers["/a/b%20c.pth?x=y%20z"] = [file(end=1000), file()]
    assert get(net, "").read_bytes() == DATA
    assert net.paths == ["/net.pth", "/a/b%20c.pth?x=y%20z"] * 2
    assert net.ranges == [None, None, "bytes=1000-", "bytes=1000-"]


def test_a_redirect_in_utf_8_is_followed(net: Web) -> None:
    net.answers = {"/net.pth": [redirect("/ü".encode().decode("latin-1"))], "/%C3%BC": [file()]}
    assert get(net).read_bytes() == DATA


def test_ten_redirects_are_followed_and_no_more(net: Web) -> None:
    net.answers = {f"/{i}": [redirect(f"/{i - 1}")] for i in range(1, 11)}
    net.answers |= {"/net.pth": [redirect("/9")], "/0": [file()]}
    assert get(net).read_bytes() == DATA
    get(net).unlink()
    net.answers["/net.pth"] = [redirect("/10")]
    refused(net, "redirects more than 10 times")
    net.answers["/net.pth"] = [redirect("/net.pth")]
    refused(net, "redirects more than 10 times")
    assert len(net.requests) == 11 * 3


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("file:///etc/hostname", "not http or https: 'file'"),
        ("FILE:///etc/hostname", "not http or https: 'file'"),
        ("ftp://127.0.0.1/net.pth", "not http or https: 'ftp'"),
        ("data:,net", "not http or https: 'data'"),
        ("http://127.0.0.1:port/net.pth", "Port could not be cast"),
        ("http://127.0.0.1:99999/net.pth", "Port out of range"),
        ("http://[127.0.0.1/net.pth", "Invalid IPv6 URL"),
        ("", "without saying where to"),
        ("http://localhost:{port}/a.pth", "into a private network, to 'localhost'"),
        ("//LOCALHOST.:{port}/a.pth", "into a private network, to 'localhost.'"),
        ("//x.localhost:{port}/a.pth", "into a private network"),
        ("http://127.0.0.2:{port}/a.pth", "into a private network"),
        ("http://127.1:{port}/a.pth", "into a private network"),
        ("http://2130706433:{port}/a.pth", "into a private network"),
        ("http://[::1]:{port}/a.pth", "into a private network, to '::1'"),
        ("http://[::ffff:127.0.0.1]:{port}/a.pth", "into a private network"),
        ("http://example.com@127.0.0.2:{port}/a.pth", "into a private network, to '127.0.0.2'"),
        ("http://169.254.169.254/latest", "into a private network"),
        ("http://0.0.0.0:{port}/a.pth", "into a private network"),
        ("http://%31%32%37.0.0.1:{port}/a.pth", "to an invalid host: '%31%32%37.0.0.1'"),
        ("http://93.184.215.14%2f:{port}/a.pth", "to an invalid host"),
        ("http://[fe80::1%25lo]:{port}/a.pth", "to an invalid host"),
        ("http://b\xfccher.test:{port}/a.pth", "to an invalid host"),
        ("http://8.8.8.8\\@127.0.0.2:{port}/a.pth", "into a private network, to '127.0.0.2'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("proxied", [False, True])
def test_redirects_to_where_none_should_lead_are_refused(
    to: str, reason: str, proxied: bool, net: Web, proxy: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = proxy if proxied else net
    url = "http://public.test/net.pth" if proxied else f"{net.url}/net.pth"
    if proxied:
        monkeypatch.setenv("http_proxy", proxy.url)
    server.answers[url if proxied else "/net.pth"] = [redirect(to.format(port=net.server_port))]
    with pytest.raises(OSError, match=reason) as raised:
        fetch(url, NAME, otherwise="do without")
    assert "example.com" not in str(raised.value)
    assert len(server.requests) == 1
    assert net.requests[1:] == []
    assert files(home) == []


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names, all of which are this machine in truth."""
    known: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo
    monkeypatch.setattr(http, "_addresses", lambda host, flags=0: known[host])
    monkeypatch.setattr(http, "_peer", lambda connection: known[connection.host][0])
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve("127.0.0.1" if host in known else host, *rest, **more),
    )
    return known


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (["127.0.0.1", "public"], True),
        (["public", "other"], True),
        (["public", "public"], True),
        (["public", "private"], False),
        (["public", "mixed"], False),
        (["private", "private"], True),
        (["private", "office"], False),
        (["private", "public", "private"], False),
        (["public", "127.0.0.1"], False),
    ],
    ids=str,
)
def test_redirects_stay_public_or_at_one_host(
    path: list[str], allowed: bool, net: Web, hosts: dict[str, list[str]], home: Path
) -> None:
    hosts.update(public=["93.184.215.14", "2606:2800:21f:cb07::1"], other=["8.8.8.8"], mixed=["8.8.8.8", "fd00::1"])
    hosts.update(private=["10.0.0.1"], office=["10.0.0.1"])
    hosts["127.0.0.1"] = ["127.0.0.1"]
    urls = [f"http://{host}:{net.server_port}/{step}" for step, host in enumerate(path)]
    net.answers = {f"/{step}": [redirect(url)] for step, url in enumerate(urls[1:])}
    net.answers[f"/{len(path) - 1}"] = [file()]
    if allowed:
        assert fetch(urls[0], NAME, SHA256, otherwise="do without").read_bytes() == DATA
    else:
        with pytest.raises(OSError, match=f"into a private network, to '{path[-1]}'"):
            fetch(urls[0], NAME, SHA256, otherwise="do without")
    assert len(net.requests) == len(path) - (not allowed)


def test_no_name_that_urllib_decodes_leads_past_a_proxy(net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    proxy.answers["http://public.test/net.pth"] = [redirect(f"http://%31%32%37.0.0.1:{net.server_port}/net.pth")]
    net.answers["/net.pth"] = [file()]
    with pytest.raises(OSError, match="an invalid host"):
        fetch("http://public.test/net.pth", NAME, otherwise="do without")
    assert net.requests == []


@pytest.mark.parametrize("host", ["public", "other"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_to_a_name_that_becomes_private_is_refused(
    host: str, scheme: str, net: Web, proxy: Web, hosts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is connected to, after it was judged; also at the same host, on another port. No byte is sent."""
    hosts.update(public=["93.184.215.14"], other=["8.8.8.8"])
    peers = ["93.184.215.14", "127.0.0.1"]
    monkeypatch.setattr(http, "_peer", lambda connection: peers.pop(0))
    net.answers["/net.pth"] = [redirect(f"{scheme}://{host}:{proxy.server_port}/net.pth")]
    proxy.answers["/net.pth"] = [file()]
    with pytest.raises(OSError, match=f"into a private network, to '{host}'"):
        fetch(f"http://public:{net.server_port}/net.pth", NAME, SHA256, otherwise="do without")
    assert peers == []
    assert proxy.requests == []


def test_a_private_host_may_redirect_to_its_other_ports_and_a_public_one_to_none_that_is_private(
    net: Web, proxy: Web, hosts: dict[str, list[str]], home: Path
) -> None:
    net.answers["/net.pth"] = [redirect(f"http://here:{proxy.server_port}/there")]
    proxy.answers["/there"] = [file()]
    for addresses in (["10.0.0.1"], ["8.8.8.8"]):
        hosts["here"] = addresses
        fetch(f"http://here:{net.server_port}/net.pth", NAME, SHA256, otherwise="do without").unlink()
    hosts["here"] = ["8.8.8.8", "10.0.0.1"]
    with pytest.raises(OSError, match="into a private network, to 'here'"):
        fetch(f"http://here:{net.server_port}/net.pth", NAME, SHA256, otherwise="do without")
    assert proxy.paths == ["/there"] * 2


def test_the_address_at_the_other_end_is_the_one_that_is_judged(net: Web) -> None:
    judged = []
    opener = http._opener(lambda connection: judged.append(http._peer(connection)))
    opener.open(net.url, timeout=5).close()
    with pytest.raises(OSError, match="SSL|EOF|reset"):
        opener.open(net.url.replace("http", "https"), timeout=5)
    assert judged == ["127.0.0.1"] * 2


def test_a_private_server_behind_a_proxy_may_redirect_within_its_host(
    proxy: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    proxy.answers["http://10.0.0.1/net.pth"] = [redirect("/a.pth")]
    proxy.answers["http://10.0.0.1/a.pth"] = [file()]
    assert fetch("http://10.0.0.1/net.pth", NAME, SHA256, otherwise="do without").read_bytes() == DATA


def test_a_redirect_from_https_to_http_is_refused() -> None:
    here = "https://public.test/net.pth"
    assert http._redirected(here, "/a.pth") == "https://public.test/a.pth"
    with pytest.raises(OSError, match="from https to http, at 'public.test'"):
        http._redirected(here, "http://public.test/net.pth")


def test_a_redirect_to_a_host_that_does_not_exist_is_an_error(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    net.answers["/net.pth"] = [redirect("http://nowhere.test/")]
    monkeypatch.setattr(http, "_addresses", resolve)
    refused(net, "Name or service not known")


PUBLIC = ("8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")
PRIVATE = (
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%lo",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:224.0.0.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2001:0:808:808::1",
    "fec0::1",
    "feff::1",
    "4000::1",
)


def test_private_addresses_are_told_from_public_ones() -> None:
    assert [text for text in PUBLIC if not http._is_public_address(text)] == []
    assert [text for text in PRIVATE if http._is_public_address(text)] == []


# ---- Mirrors and proxies.


@pytest.mark.parametrize("base", ["", "/", "/files", "/files/"])
def test_a_mirror_takes_the_place_of_scheme_and_host(base: str, net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f" {net.url}{base} ")
    net.answers[f"{base.rstrip('/')}/models/net.pth?v=1"] = [file()]
    path = fetch("https://published.test/models/net.pth?v=1", NAME, SHA256, otherwise="do without")
    assert path.read_bytes() == DATA
    assert len(net.requests) == 1


def test_a_mirror_that_lacks_a_file_is_named(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f"{net.url}/files")
    with pytest.raises(OSError, match=re.escape(f"Could not download {net.url}/files/net.pth (HTTP status 404)")):
        fetch("https://published.test/net.pth", NAME, otherwise="do without")


def test_a_mirrors_password_goes_to_the_mirror_alone(
    net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f"http://me%40home:s%3Acret@127.0.0.1:{net.server_port}/files")
    elsewhere = redirect(f"http://you:hidden@127.0.0.1:{proxy.server_port}/there")
    net.answers["/files/net.pth"] = [*[redirect("/here")] * 3, status(404)]
    net.answers["/here"] = [file(end=1000), elsewhere]
    proxy.answers["/there"] = [redirect(f"{net.url}/back"), file()]
    net.answers["/back"] = [status(500)]
    assert fetch("https://published.test/net.pth", NAME, otherwise="do without").read_bytes() == DATA
    sent = [headers.get("Authorization") for _, headers in net.requests]
    assert sent == ["Basic bWVAaG9tZTpzOmNyZXQ="] * 7
    assert [headers.get("Authorization") for _, headers in proxy.requests] == [None] * 2
    (home / NAME).unlink()
    with pytest.raises(OSError, match="404") as raised:
        fetch("https://published.test/net.pth", NAME, otherwise="do without")
    out, err = capfd.readouterr()
    for secret in ("me%40", "me@", "cret", "hidden", "you"):
        assert secret not in f"{raised.value}{out}{err}{raised.value.__cause__}"


def test_a_mirrors_password_is_not_written_to_the_cache(net: Web, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f"http://me:secret@127.0.0.1:{net.server_port}")
    net.answers["/net.pth"] = [file(end=1000), status(404)]
    with pytest.raises(OSError, match="404"):
        get(net)
    assert json.loads((home / "zoo" / ".net.pth.part.json").read_text())["url"] == f"{net.url}/net.pth"


@pytest.mark.parametrize(
    "mirror",
    [
        "mirror.test",
        "mirror.test:80/files",
        "ftp://me:secret@mirror.test",
        "file:///srv/files",
        "http://",
        "https:///files",
        "http://me:secret@mirror.test:port",
        "http://me:secret@mirror.test:99999",
        "http://me:secret@[mirror.test/",
        "http://me:se/secret@mirror.test",
        "http://mirror.test/?token=secret",
        "http://mirror.test/#secret?",
        "http://me:secret@127.0.0.1:9/my files",
        "http://mirror.test/a\tb",
        "http://mirror.test/a\x7fb",
        "http://mirror.test/m\xfcll",
        "http://mirror .test/",
    ],
)
def test_a_mirror_that_is_no_base_of_urls_is_refused(mirror: str, net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", mirror)
    with pytest.raises(ValueError, match="^KERAS_RESNET_MIRROR must be an http or https URL") as raised:
        get(net)
    assert "secret" not in str(raised.value)
    assert net.requests == []


def test_a_url_that_can_never_be_sent_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_PAUSES", (9.0,))
    monkeypatch.setattr(resume, "time", SimpleNamespace(sleep=lambda _: pytest.fail("it is tried again")))
    with pytest.raises(OSError, match="control characters"):
        fetch("http://127.0.0.1:9/my files", NAME, otherwise="do without")


def test_a_malformed_mirror_does_not_matter_to_a_cached_file(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    net.answers["/net.pth"] = [file()]
    path = get(net)
    monkeypatch.setenv("KERAS_RESNET_MIRROR", "mirror.test")
    assert get(net) == path
    with pytest.raises(ValueError, match="KERAS_RESNET_MIRROR"):
        get(net, SHA256[:14] + "00")


def test_a_proxy_of_the_environment_is_used(net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Also for a redirect to a name that only the proxy knows."""
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:secret@"))
    proxy.answers["http://published.test/net.pth"] = [redirect("http://files.published.test/net.pth")]
    proxy.answers["http://files.published.test/net.pth"] = [file(end=1000), file()]
    assert fetch("http://published.test/net.pth", NAME, otherwise="do without").read_bytes() == DATA
    assert proxy.ranges == [None, None, "bytes=1000-", "bytes=1000-"]
    assert all(headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0" for _, headers in proxy.requests)
    (home / NAME).unlink()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    net.answers["/net.pth"] = [file()]
    assert get(net).read_bytes() == DATA
    assert len(proxy.requests) == 4
    assert len(net.requests) == 1


def test_only_names_that_no_proxy_resolves_are_resolved(
    net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    resolved: list[str] = []
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        if not host.endswith(".test") or more["flags"] & socket.AI_NUMERICHOST:
            return resolve(host, *rest, **more)
        resolved.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "office.test")
    proxy.answers["http://published.test/net.pth"] = [redirect("http://files.test/net.pth")]
    proxy.answers["http://files.test/net.pth"] = [redirect("http://office.test/net.pth")]
    with pytest.raises(OSError, match="into a private network, to 'office.test'"):
        fetch("http://published.test/net.pth", NAME, otherwise="do without")
    assert resolved == ["office.test"]


def test_https_goes_through_a_tunnel_of_its_proxy(proxy: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy.url)
    with pytest.raises(OSError, match="Tunnel connection failed: 404"):
        fetch("https://published.test/net.pth", NAME, otherwise="do without")
    assert proxy.paths == ["published.test:443"]
