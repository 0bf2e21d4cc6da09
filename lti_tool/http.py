"""Outgoing HTTP: one pooled session, timeouts on every call, a User-Agent, bounded answers, no redirects.

Moodle answers 403 to a request without a User-Agent and Canvas requires one, so ours says who is calling.

Two doors lead out. ``send`` is for addresses that an operator vouched for: platforms. ``fetch_public`` is for
addresses that a stranger may have written, in a badge or an invitation: it reaches public servers only, so
that nobody can make us call the machines behind our own firewall.
"""

import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from lti_tool import __version__
from lti_tool.settings import origin

MAX_ANSWER_BYTES = 2_000_000
_CHUNK = 65_536
_USER_AGENT = f"Tessera/{__version__} (LTI 1.3 tool)"
_MAX_ADDRESS = 2_000
"""Characters of an address that a stranger gives us."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_LOOK_PUBLIC = tuple(
    ipaddress.ip_network(net)
    for net in (
        "2001::/32",  # Teredo and 6to4 carry an IPv4 address inside, which may be a private one.
        "2002::/16",
        "192.88.99.0/24",
        "192.0.0.0/24",  # Machines of Oracle's cloud ask here what concerns themselves,
        "168.63.129.16/32",  # and those of Azure here.
    )
)
_local = threading.local()


class NoAnswer(Exception):
    """Nothing usable came back: refused, unreachable, timed out, or cut off.

    ``sent`` tells whether the request may have arrived: after a time-out the other side may have acted on it.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class NotPublic(NoAnswer):
    """The address is none that a stranger may make us call. Nothing was sent to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, sent=False)


class Resolve(Protocol):
    """Where the addresses of a host come from."""

    def __call__(self, host: str, port: int) -> Sequence[str]:
        """The IP addresses of ``host`` in the order to be tried. Raises ``OSError`` if there are none."""


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` look up case-insensitively."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")


def send(
    method: str,
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """One request, one answer of at most MAX_ANSWER_BYTES. Redirects are answers, not followed: a bearer token
    must not travel to an address that the platform did not register.

    :raises NoAnswer: with what went wrong, in words without the address's query.
    """
    ends = time.monotonic() + timeout
    try:
        with _session().request(
            method,
            url,
            headers=headers,
            data=form if body is None else body,
            timeout=(min(timeout, 5.0), timeout),
            allow_redirects=False,
            stream=True,
        ) as response:
            content = bytearray()
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise NoAnswer("The answer was too large.", sent=True)
                # The time-out of the connection begins anew with every byte that trickles in.
                if time.monotonic() > ends:
                    raise NoAnswer("No answer in time.", sent=True)
            return Answer(response.status_code, response.headers, bytes(content))
    except requests.exceptions.ConnectTimeout:
        raise NoAnswer("No connection in time.", sent=False) from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise NoAnswer("No answer in time.", sent=True) from None
    except requests.exceptions.InvalidURL:
        raise NoAnswer("Not a valid address.", sent=False) from None
    except requests.exceptions.SSLError:
        raise NoAnswer("The server could not prove who it is (its certificate).", sent=False) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        refused = "refused" in str(error) or "resolve" in str(error) or "unreachable" in str(error)
        raise NoAnswer(
            "The connection failed." if not refused else "Could not connect.", sent=not refused
        ) from None


def _session() -> requests.Session:
    """One per thread: requests does not promise that a session may be shared between threads."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = requests.Session()
        session.headers["User-Agent"] = _USER_AGENT
        # The proxy and .netrc of the machine are not meant for a platform's tokens.
        session.trust_env = False
        adapter = HTTPAdapter(pool_connections=16, pool_maxsize=16, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        _local.session = session
    return session


def close() -> None:
    """Let go of this thread's connections."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is not None:
        session.close()
        _local.session = None


# Addresses that strangers write


def fetch_public(
    url: str,
    *,
    timeout: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    max_bytes: int = MAX_ANSWER_BYTES,
    ports: Collection[int] = (443,),
    allowed_origins: Collection[str] = (),
    resolve: Resolve | None = None,
) -> Answer:
    """One request to a public server by https; redirects are answers, not followed.

    The host is looked up once, every address it has must be public, and the connection goes to the very address
    that was checked, so that a name server cannot answer one thing to the check and another to the connection.
    ``timeout`` is in seconds and holds for everything together, however slowly the server drips.

    ``allowed_origins`` ("https://badges.campus.edu", "http://localhost:5001") are the operator's exceptions:
    they may be private, on other ports and plain http. ``resolve`` stands in for the name servers in tests.

    :raises NotPublic: not https, a port not in ``ports``, or a host with an address that is not public.
    :raises NoAnswer: with what went wrong, in words without the address.
    """
    ends = time.monotonic() + timeout
    target = _target(url, ports, allowed_origins)
    addresses = _looked_up(target, resolve or _resolve, ends)
    if not target.allowed and not all(is_public(address) for address in addresses):
        raise NotPublic("The host is not on the public Internet.")
    connection = _connect(target, addresses, ends)
    # A time-out of a socket begins anew with every byte; this one does not.
    stop = threading.Timer(max(0.0, ends - time.monotonic()), _hang_up, [connection])
    stop.daemon = True
    stop.start()
    try:
        sent = {"User-Agent": _USER_AGENT, **(headers or {}), "Accept-Encoding": "identity"}
        connection.request(
            method,
            target.path,
            body=body,
            headers={**sent, "Host": target.netloc, "Connection": "close"},
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        content = bytearray()
        while chunk := response.read1(_CHUNK, decode_content=False):
            content += chunk
            if len(content) > max_bytes:
                raise NoAnswer("The answer was too large.", sent=True)
        if time.monotonic() >= ends:
            raise NoAnswer("No answer in time.", sent=True)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise NoAnswer("The answer was compressed, which was not asked for.", sent=True)
        return Answer(response.status, response.headers, bytes(content))
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        late = time.monotonic() >= ends or isinstance(error, TimeoutError)
        raise NoAnswer("No answer in time." if late else "The connection failed.", sent=True) from None
    finally:
        stop.cancel()
        connection.close()


def is_public(address: str) -> bool:
    """Whether ``address`` (an IP address) is one on the public Internet, whichever way it is written."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in _LOOK_PUBLIC)


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    netloc: str
    path: str
    allowed: bool
    """By the operator."""


def _target(url: str, ports: Collection[int], allowed_origins: Collection[str]) -> _Target:
    if len(url) > _MAX_ADDRESS or not url.isascii() or not url.isprintable() or {" ", "\\"} & set(url):
        raise NotPublic("Not a valid web address.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NotPublic("Not a valid web address.") from None
    if parts.scheme not in ("https", "http") or not host or "@" in parts.netloc or "%" in host:
        raise NotPublic("Not a valid web address.")
    allowed = origin(url) in allowed_origins
    if not allowed and parts.scheme != "https":
        raise NotPublic("The address does not begin with https://.")
    port = port if port is not None else {"https": 443, "http": 80}[parts.scheme]
    if not allowed and port not in ports:
        raise NotPublic("The address names an unusual port.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(parts.scheme, host, port, parts.netloc, path, allowed)


def _looked_up(target: _Target, resolve: Resolve, ends: float) -> list[str]:
    """In a thread of its own, since a name server that says nothing keeps the system's resolver for long."""
    found: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()

    def look() -> None:
        try:
            found.put(resolve(target.host, target.port))
        except (OSError, UnicodeError):
            found.put(None)

    threading.Thread(target=look, daemon=True).start()
    try:
        addresses = found.get(timeout=max(0.0, ends - time.monotonic()))
    except queue.Empty:
        raise NoAnswer("The host could not be found in time.", sent=False) from None
    if not addresses:
        raise NoAnswer("There is no such host.", sent=False)
    return list(dict.fromkeys(addresses))


def _resolve(host: str, port: int) -> list[str]:
    if host == "localhost" or host.endswith(".localhost"):
        # RFC 6761 section 6.3: these names always mean this machine, which not every system's resolver knows.
        return ["127.0.0.1"]
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _connect(target: _Target, addresses: Sequence[str], ends: float) -> urllib3.connection.HTTPConnection:
    """A connection to the first of a host's checked addresses that takes one."""
    for address in addresses[:4]:
        left = ends - time.monotonic()
        if left <= 0:
            break
        wait = urllib3.Timeout(connect=min(left, 5.0), read=left)
        connection = (
            urllib3.connection.HTTPSConnection(
                address,
                target.port,
                timeout=wait.connect_timeout,
                ssl_context=_trust(),
                server_hostname=target.host,
            )
            if target.scheme == "https"
            else urllib3.connection.HTTPConnection(address, target.port, timeout=wait.connect_timeout)
        )
        try:
            connection.connect()
        except (ssl.SSLError, urllib3.exceptions.SSLError):
            connection.close()
            raise NoAnswer("The server could not prove who it is (its certificate).", sent=False) from None
        except (urllib3.exceptions.HTTPError, OSError):
            connection.close()
            continue
        if connection.sock is not None:
            connection.sock.settimeout(left)
        return connection
    raise NoAnswer("Could not connect.", sent=False)


def _hang_up(connection: urllib3.connection.HTTPConnection) -> None:
    if connection.sock is not None:
        with suppress(OSError):
            # The plain socket's: that of TLS would let the other thread read on without decrypting.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Who may vouch for servers: the system's authorities (SSL_CERT_FILE names others) and the well-known ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    return context
