"""HTTP GET with mirror, proxies, and redirects that cannot leave the public network."""

import base64
import os
import re
import socket
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    getproxies,
    proxy_bypass,
)

from keras_resnet.version import __version__

_MIRROR = "KERAS_RESNET_MIRROR"
_REDIRECTS = 10
_REDIRECTING = (301, 302, 303, 307, 308)
_HOST = re.compile(r"[a-z0-9.:_-]+")  # urllib would decode a "%", after the host was judged
_UNICAST = IPv6Network("2000::/3")  # all of IPv6 that is given out for the internet (RFC 4291, 2.4)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


def apply_mirror(url: str) -> str:
    """Returns the URL at which the mirror that `KERAS_RESNET_MIRROR` names, if it names one, holds a published file.

    Raises:
        ValueError: if the variable holds no http or https URL.
    """
    mirror = os.environ.get(_MIRROR, "").strip()
    if not mirror:
        return url
    if not _is_base(mirror):
        without_secrets = re.split("[?#]", mirror.rpartition("@")[2])[0]
        raise ValueError(
            f"{_MIRROR} must be an http or https URL, such as 'https://mirror.example/my%20files', without a query "
            f"and with spaces and special characters as %XX; received {without_secrets!r}."
        )
    base, published = urlsplit(mirror), urlsplit(url)
    return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + published.path, published.query, ""))


def _is_base(mirror: str) -> bool:
    """Whether paths can be appended to a text so that http or https URLs result."""
    try:
        parts = urlsplit(mirror)
        is_sendable = mirror.isprintable() and " " not in mirror and parts.path.isascii()
        is_web = _origin(mirror)[0] in ("http", "https") and bool(parts.hostname)
        return is_sendable and is_web and not (parts.query or parts.fragment)
    except ValueError:  # of the port, or of brackets
        return False


def without_credentials(url: str) -> str:
    """Returns a URL without the user's name and password, as it may stand in a message."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def get(url: str, headers: Mapping[str, str], timeout: float) -> HTTPResponse:
    """Gets a URL, whose user name and password, if any, no other server gets to see.

    A redirect from https to http is refused, and one into a private network, but for those of a private server within
    its own host.

    Args:
        url: http or https, and trusted.
        headers: to be sent to each server on the way.
        timeout: seconds without a sign of life.

    Returns:
        An answer that is no redirect, of any status.

    Raises:
        OSError: if there is none, or a redirect is refused.
        http.client.HTTPException: if what is answered is no HTTP.
        ValueError: if a redirect leads to something that is no URL.
    """
    here, guard = without_credentials(url), _Guard()
    private = None  # the host in which redirects are free; "" if none
    opener = _opener(guard)
    for _ in range(_REDIRECTS + 1):
        secret = _authorization(url) if _origin(here) == _origin(url) else {}
        response: HTTPResponse = opener.open(Request(here, headers={**headers, **secret}), timeout=timeout)
        if response.status not in _REDIRECTING:
            return response
        with response:
            there = _redirected(here, response.headers.get("Location"))
        if private is None:
            is_public = _is_public(here) if _is_proxied(here) else _is_public_address(guard.peer)
            private = "" if is_public else _host(here)
        if _host(there) != private:
            private, guard.is_closed = "", not _is_proxied(there)
            if not _is_public(there):
                raise OSError(f"it redirects into a private network, to {_host(there)!r}")
        here = there
    raise OSError(f"it redirects more than {_REDIRECTS} times")


@dataclass
class _Guard:
    """Judges connections by the address at their other end, whatever a name stood for when it was judged."""

    is_closed: bool = False  # to private addresses
    peer: str = ""  # the last address that was connected to

    def __call__(self, connection: HTTPConnection) -> None:
        self.peer = _peer(connection)
        if self.is_closed and not _is_public_address(self.peer):
            raise OSError(f"it redirects into a private network, to {connection.host!r}")


def _peer(connection: HTTPConnection) -> str:
    """Returns the address at the other end."""
    return str(connection.sock.getpeername()[0])


def _opener(judge: Callable[[HTTPConnection], None]) -> OpenerDirector:
    """Makes an opener for http and https by the environment's proxies; it follows no redirect and raises on no status.

    Each connection is judged before a byte is sent.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            judge(self)

    class Secure(HTTPSConnection, Plain):  # in this order: judged before the handshake
        pass

    class PlainHandler(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Secure, req)

    opener = OpenerDirector()
    opener.addheaders = [("User-Agent", f"keras3-resnet/{__version__}")]
    for handler in (ProxyHandler(), PlainHandler(), SecureHandler()):
        opener.add_handler(handler)
    return opener


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Returns the server that a URL belongs to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _authorization(url: str) -> dict[str, str]:
    """Makes the header that holds a URL's user name and password."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _redirected(here: str, location: str | None) -> str:
    """Returns where a redirect leads; refuses what is no proper URL, or less secret."""
    if not location:
        raise OSError("it redirects without saying where to")
    target = without_credentials(urljoin(here, quote(location, safe=string.punctuation, encoding="latin-1")))
    there, _ = urlsplit(target), _origin(target)  # the port is no number: ValueError
    if there.scheme not in ("http", "https") or not there.hostname:
        raise OSError(f"it redirects to a URL that is not http or https: {there.scheme!r}")
    if not _HOST.fullmatch(there.hostname):
        raise OSError(f"it redirects to an invalid host: {there.hostname!r}")
    if there.scheme == "http" and urlsplit(here).scheme == "https":
        raise OSError(f"it redirects from https to http, at {there.hostname!r}")
    return target


def _host(url: str) -> str:
    """Returns the host of a URL; "" if it has none."""
    return urlsplit(url).hostname or ""


def _is_proxied(url: str) -> bool:
    """Whether the environment names a proxy for a URL."""
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.netloc)


def _is_public(url: str) -> bool:
    """Whether a URL's host has none but public addresses; a proxy may know one that has none here."""
    name, proxied = _host(url).rstrip("."), _is_proxied(url)
    if name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        return all(map(_is_public_address, _addresses(name, socket.AI_NUMERICHOST if proxied else 0)))
    except socket.gaierror:
        if not proxied:
            raise
        return True


def _addresses(host: str, flags: int = 0) -> list[str]:
    """Looks up the addresses of a host; also of what stands for one in other ways, such as 127.1."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)]


def _is_public_address(text: str) -> bool:
    """Whether an address is reached over the internet; what stands for an IPv4 address is judged as that."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        translated = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = address.ipv4_mapped or address.sixtofour or translated or address
    is_unicast = isinstance(address, IPv4Address) or address in _UNICAST
    return is_unicast and address.is_global and not address.is_multicast
