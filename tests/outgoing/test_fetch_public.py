"""Addresses that strangers write: what is called, what is refused, and that nothing is waited for without end."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lti_tool import http
from lti_tool.http import NoAnswer, NotPublic, fetch_public
from lti_tool.settings import SettingsError, load, origin

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Says its pieces to whoever connects, and remembers what it was asked."""

    def __init__(self, pieces: list[bytes], pause: float) -> None:
        self.pieces, self.pause, self.asked = pieces, pause, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            with connection:
                self.asked = connection.recv(65_536)
                for piece in self.pieces:
                    connection.sendall(piece)
                    time.sleep(self.pause)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(*pieces: bytes, pause: float = 0) -> Iterator[Server]:
    server = Server(list(pieces), pause)
    try:
        yield server
    finally:
        server.listener.close()
        server.thread.join(5)


INSIDE = [
    "127.0.0.1", "127.1", "127.0.0.53", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "0", "0.0.0.0",  # noqa: S104 - where strangers may not send us
    "localhost", "LOCALHOST", "10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.251", "255.255.255.255",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]",
    "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "[2001:0:7f00:1::]",
    "[ff02::1]", "[2001:db8::1]", "[100::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_a_host_behind_our_own_firewall_is_not_called_however_it_is_written(host: str):
    with pytest.raises(NotPublic):
        fetch_public(f"https://{host}/.well-known/jwks.json", timeout=2)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "//example.org/",
        "https://", "https:///x", "https://example.org:22/", "https://example.org:8443/", "https://example.org:0/",
        "https://example.org:99999/", "https://example.org@127.0.0.1/", "https://a:b@example.org/",
        "https://example.org\\@127.0.0.1/", "https://exa mple.org/", "https://example.org/\r\nHost: x",
        "https://[fe80::1%25eth0]/", "https://[::1/", "https://exämple.org/", "https://example.org/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_what_is_no_public_web_address_is_not_even_looked_up(url: str):
    def never(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    with pytest.raises(NotPublic):
        fetch_public(url, timeout=2, resolve=never)


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(NotPublic):
        fetch_public("https://example.org/", timeout=2, resolve=lambda *_: ["93.184.216.34", "10.0.0.1"])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "8.8.8.8"])
def test_addresses_on_the_internet_are_public(address: str):
    assert http.is_public(address)


def test_an_exception_of_the_operator_reaches_a_private_server_and_only_that_one():
    with serving(OK) as server:
        answer = fetch_public(f"{server.address}/did.json?x=1", timeout=5, allowed_origins={server.address})

        assert (answer.status, answer.body) == (200, b"hello")
        assert server.asked.startswith(b"GET /did.json?x=1 HTTP/1.1\r\n")
        assert b"User-Agent: Tessera/" in server.asked

    with pytest.raises(NotPublic):
        fetch_public("http://127.0.0.1:1/", timeout=5, allowed_origins={server.address})


def test_the_connection_goes_to_the_very_address_that_was_checked():
    answers = [["127.0.0.1"], ["10.66.66.66"]]

    with serving(OK) as server:
        url = f"http://badges.example:{server.port}/a"
        answer = fetch_public(
            url, timeout=5, allowed_origins={origin(url)}, resolve=lambda *_: answers.pop(0)
        )

    assert answer.body == b"hello"
    assert f"Host: badges.example:{server.port}".encode() in server.asked
    assert answers == [["10.66.66.66"]]


def test_a_redirect_is_an_answer_and_not_followed():
    inside = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"

    with serving(inside) as server:
        assert fetch_public(server.address, timeout=5, allowed_origins={server.address}).status == 302


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
FLOODS = {
    "a body without end": ([HEAD + b"\r\n", b"x" * 5_000], 0.0, "too large"),
    "a body that says it is short": (
        [HEAD + b"Content-Length: 2000\r\n\r\n", b"x" * 2_000],
        0.0,
        "too large",
    ),
    "packed, though nobody asked": ([HEAD + b"Content-Encoding: gzip\r\n\r\n", b"x"], 0.0, "compressed"),
    "a body that drips": ([HEAD + b"\r\n", *[b"x"] * 9], 0.1, "in time"),
    "a head that drips": ([HEAD, *[b"X: y\r\n"] * 9], 0.1, "in time"),
    "continue for ever": ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 9, 0.1, "in time"),
    "silence": ([b""] * 9, 0.1, "in time"),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.6\r\n"], 0.0, "failed"),
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_hostile_answer_is_given_up_in_bounded_time_and_size(what: str):
    pieces, pause, reason = FLOODS[what]

    with serving(*pieces, pause=pause) as server, pytest.raises(NoAnswer, match=reason):
        fetch_public(server.address, timeout=0.4, max_bytes=1_000, allowed_origins={server.address})


def test_a_name_server_that_says_nothing_is_given_up_in_time():
    done = threading.Event()

    def silent(host: str, port: int) -> list[str]:
        done.wait(5)
        return []

    with pytest.raises(NoAnswer, match="could not be found in time"):
        fetch_public("https://example.org/", timeout=0.2, resolve=silent)
    done.set()


def test_the_operators_exceptions_are_compared_in_one_way(tmp_path):
    env = {"TESSERA_HOME": str(tmp_path)}

    given = load(env | {"OUTGOING_ALLOWED": "https://Badges.Campus.example:443/ http://localhost:5001"})

    assert given.outgoing_origins == {"https://badges.campus.example", "http://localhost:5001"}
    for wrong in (
        "badges.campus.example",
        "https://campus.example/badges",
        "https://a@b.example",
        "http://x:port",
    ):
        with pytest.raises(SettingsError, match="outgoing_allowed must be addresses"):
            load(env | {"OUTGOING_ALLOWED": wrong})
