"""A browser without windows: it keeps cookies, follows redirects, reads pages and presses their buttons.

It differs from a plain HTTP client where the main job needs a browser: names that end in ``.localhost`` lead to this
machine, Secure cookies come back on them over http as well, and pages that send themselves onward are sent onward.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import requests

_MOST_HOPS = 15
_TIMEOUT = 20.0
_ONWARD = ("data-submit", "data-onward")
"""Marks of forms that a script on the page submits at once."""

Value = str | bool | tuple[str, bytes, str]
"""What goes into a field: words, a tick, or a file as (name, content, media type)."""


class Unexpected(Exception):
    """A page is not as a person would need it. The text says what was looked for and what was there."""


@dataclass
class Field:
    """A control of a form, with the words that label it."""

    name: str
    kind: str
    """``textarea``, ``select`` or the type of an ``input``."""
    value: str
    label: str = ""
    ticked: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Button:
    """What submits a form."""

    text: str
    name: str
    value: str
    action: str = ""
    """Where it sends the form instead of the form's own address."""


@dataclass
class Form:
    """A form as a browser would submit it."""

    action: str
    method: str
    onward: bool
    id: str = ""
    fields: list[Field] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)


@dataclass
class Link:
    """A link with its words."""

    text: str
    href: str


class _Reader(HTMLParser):
    """Picks out of a page what a person could read or press."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.forms: list[Form] = []
        self.links: list[Link] = []
        self.frames: list[str] = []
        self.refresh: str | None = None
        self.labels: dict[str, str] = {}
        self._form: Form | None = None
        self._gathering: list[tuple[str, list[str], object]] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        match tag:
            case "script" | "style":
                self._silent += 1
            case "form":
                onward = any(mark in has for mark in _ONWARD)
                method = has.get("method", "get").lower()
                self._form = Form(has.get("action", ""), method, onward, has.get("id", ""))
                self.forms.append(self._form)
            case "input":
                kind = has.get("type", "text")
                default = "on" if kind in ("checkbox", "radio") else ""
                self._add(
                    Field(has.get("name", ""), kind, has.get("value", default), "", "checked" in has, has)
                )
            case "textarea":
                area = Field(has.get("name", ""), "textarea", "", attributes=has)
                self._add(area)
                self._gathering.append((tag, [], area))
            case "select":
                self._add(Field(has.get("name", ""), "select", "", attributes=has))
            case "option":
                self._choose(has)
            case "button":
                button = Button("", has.get("name", ""), has.get("value", ""), has.get("formaction", ""))
                own = (form for form in self.forms if form.id and form.id == has.get("form"))
                if (form := next(own, self._form)) is not None:
                    form.buttons.append(button)
                self._gathering.append((tag, [], button))
            case "a" if "href" in has:
                link = Link("", has["href"])
                self.links.append(link)
                self._gathering.append((tag, [], link))
            case "label" if "for" in has:
                self._gathering.append((tag, [], has["for"]))
            case "meta" if has.get("http-equiv") == "refresh":
                self.refresh = has.get("content", "").partition("url=")[2] or None
            case "iframe":
                self.frames.append(has.get("src", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._silent -= 1
        elif tag == "form":
            self._form = None
        elif self._gathering and self._gathering[-1][0] == tag:
            _, pieces, target = self._gathering.pop()
            self._give("".join(pieces), target)

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.words.append(data)
        for _, pieces, _ in self._gathering:
            pieces.append(data)

    def _add(self, control: Field) -> None:
        if self._form is not None:
            self._form.fields.append(control)

    def _choose(self, has: Mapping[str, str]) -> None:
        if self._form is None or not self._form.fields:
            return
        control = self._form.fields[-1]
        if control.kind == "select" and ("selected" in has or not control.value):
            control.value = has.get("value", "")

    def _give(self, text: str, target: object) -> None:
        words = " ".join(text.split())
        match target:
            case Field():
                # The line break right after the tag is not part of the words.
                target.value = text.removeprefix("\n")
            case Button() | Link():
                target.text = words
            case str():
                self.labels[target] = words


@dataclass(frozen=True)
class Page:
    """An answer to a browser."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    @cached_property
    def _read(self) -> _Reader:
        reader = _Reader()
        if self.headers.get("Content-Type", "").startswith("text/html"):
            reader.feed(self.content.decode("utf-8"))
            reader.close()
            for form in reader.forms:
                for control in form.fields:
                    control.label = reader.labels.get(control.attributes.get("id", ""), "")
        return reader

    @cached_property
    def text(self) -> str:
        """Every word on the page, in order."""
        return " ".join(" ".join(self._read.words).split())

    @property
    def forms(self) -> Sequence[Form]:
        return self._read.forms

    @property
    def links(self) -> Sequence[Link]:
        return self._read.links

    @property
    def refresh(self) -> str | None:
        """Where the page sends a browser without JavaScript by itself."""
        return self._read.refresh

    @property
    def frames(self) -> Sequence[str]:
        return self._read.frames

    def says(self, *phrases: str) -> None:
        """Insist that the page contains each phrase.

        :raises Unexpected: with the phrase and the beginning of the page.
        """
        for phrase in phrases:
            if phrase not in self.text:
                raise Unexpected(f"“{phrase}” is not on the page. {self.summary()}")

    def link(self, text: str) -> str:
        """The address of the first link whose words begin so.

        :raises Unexpected: there is none.
        """
        for link in self.links:
            if link.text.startswith(text):
                return urljoin(self.url, link.href)
        raise Unexpected(f"There is no link “{text}”. {self.summary()}")

    def button(self, text: str) -> tuple[Form, Button]:
        """The first button whose words contain these, and its form.

        :raises Unexpected: there is none.
        """
        for form in self.forms:
            for button in form.buttons:
                if text in button.text:
                    return form, button
        raise Unexpected(f"There is no button “{text}”. {self.summary()}")

    def summary(self) -> str:
        """Where we are, for the reader of a failure."""
        address = urlsplit(self.url)
        return f"Status {self.status} at {address.netloc}{address.path}: {self.text[:400]}"


class Browser:
    """One person's browser, or with nobody signed in, a stranger's."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        # Our own jar: the library's would keep Secure cookies back on http.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers["User-Agent"] = "Tessera selfcheck"
        self._jar: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        self._session.close()

    def get(self, url: str) -> Page:
        """Go to an address and wherever it leads."""
        return self._onward(self._send("GET", url))

    def press(self, page: Page, text: str, fill: Mapping[str, Value] | None = None) -> Page:
        """Fill in the form around a button, press it, and go wherever that leads.

        :param fill: by field name; other fields keep what the page says.
        """
        form, button = page.button(text)
        unknown = set(fill or {}) - {control.name for control in form.fields}
        if unknown:
            raise Unexpected(f"The form has no field {', '.join(sorted(unknown))}. {page.summary()}")
        return self._onward(self._submit(page, form, button, fill or {}))

    def post(self, url: str, data: Mapping[str, str]) -> Page:
        """Send a form that is not on the page any more."""
        return self._onward(self._send("POST", url, data=list(data.items())))

    def frame(self, page: Page) -> Page:
        """What the page's frame shows."""
        if not page.frames:
            raise Unexpected(f"The page has no frame. {page.summary()}")
        return self.get(urljoin(page.url, page.frames[0]))

    def _onward(self, page: Page) -> Page:
        for _ in range(_MOST_HOPS):
            if page.status in (301, 302, 303, 307, 308):
                page = self._send("GET", urljoin(page.url, page.headers["Location"]))
                continue
            if page.refresh is not None:
                page = self._send("GET", urljoin(page.url, page.refresh))
                continue
            form = next((form for form in page.forms if form.onward), None)
            if form is None:
                return page
            page = self._submit(page, form, None, {})
        raise Unexpected(f"It goes round in circles. {page.summary()}")

    def _submit(self, page: Page, form: Form, button: Button | None, fill: Mapping[str, Value]) -> Page:
        data: list[tuple[str, str]] = []
        files: list[tuple[str, tuple[str, bytes, str]]] = []
        for control in form.fields:
            given = fill.get(control.name)
            if control.kind == "file":
                nothing = ("", b"", "application/octet-stream")
                files.append((control.name, given if isinstance(given, tuple) else nothing))
            elif control.name and _counts(control, given):
                words = given if isinstance(given, str) else control.value
                data.append((control.name, words.replace("\r\n", "\n").replace("\n", "\r\n")))
        if button is not None and button.name:
            data.append((button.name, button.value))
        # An empty action means the page itself, and keeps its query.
        action = (button.action if button is not None else "") or form.action
        url = urljoin(page.url, action) if action else page.url
        if form.method == "post":
            return self._send("POST", url, data=data, files=files)
        return self._send("GET", url, params=data)

    def _send(
        self,
        method: str,
        url: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        data: Sequence[tuple[str, str]] = (),
        files: Sequence[tuple[str, tuple[str, bytes, str]]] = (),
    ) -> Page:
        parts = urlsplit(url)
        host = parts.hostname or ""
        here = parts._replace(netloc=f"127.0.0.1:{parts.port or 80}", fragment="")
        headers = {"Host": parts.netloc}
        if jar := self._jar.get(host):
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        answer = self._session.request(
            method,
            here.geturl(),
            params=list(params) or None,
            data=list(data) or None,
            files=list(files) or None,
            headers=headers,
            allow_redirects=False,
            timeout=_TIMEOUT,
        )
        for line in answer.raw.headers.getlist("Set-Cookie"):
            self._keep(host, line)
        return Page(url, answer.status_code, answer.headers, answer.content)

    def _keep(self, host: str, line: str) -> None:
        """Keep a cookie as a browser would; one that a browser would refuse is a failure."""
        pair, *rest = line.split(";")
        name, _, value = pair.strip().partition("=")
        attributes = {
            key.strip().lower(): given.strip() for key, _, given in (item.partition("=") for item in rest)
        }
        if name.startswith("__Host-") and not (
            "secure" in attributes and attributes.get("path") == "/" and "domain" not in attributes
        ):
            raise Unexpected(f"A browser refuses the cookie {name} with these attributes.")
        if attributes.get("samesite", "").lower() == "none" and "secure" not in attributes:
            raise Unexpected(f"A browser refuses the cookie {name}: SameSite=None needs Secure.")
        jar = self._jar.setdefault(host, {})
        if attributes.get("max-age") == "0":
            jar.pop(name, None)
        else:
            jar[name] = value


def _counts(control: Field, given: Value | None) -> bool:
    """Whether a control is sent at all."""
    if control.kind in ("checkbox", "radio"):
        if isinstance(given, bool):
            return given
        return control.ticked if given is None else given == control.value
    return control.kind not in ("submit", "button", "reset")
