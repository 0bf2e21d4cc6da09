"""Outgoing mail: one letter to one address, over SMTP, with a time limit. Nothing of it is ever logged here.

Only the worker sends (``people.letters``), never a page: a mail server may take its time or be away for an hour.
Spec: https://www.rfc-editor.org/rfc/rfc5321, and RFC 3834 for letters that machines write.
"""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

from lti_tool.settings import current

_TIMEOUT = 20.0
"""Seconds for each step of the conversation."""
_PORTS = {"smtp": 587, "smtps": 465}


class NotSent(Exception):
    """The letter did not go. ``again`` tells whether another try may help. Its text holds no address."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True)
class _Server:
    host: str
    port: int
    user: str | None
    password: str
    wrapped: bool
    """TLS from the first byte (smtps)."""
    starttls: bool


def possible() -> bool:
    """Whether a mail server is set at all; pages say what to do instead where none is."""
    return bool(current().mail_url)


def send(to: str, subject: str, text: str) -> None:
    """Hand one letter over to the mail server.

    :raises NotSent: with what the server said, in our words and without any address.
    """
    letter = _letter(to, subject, text)
    server = _server(current().mail_url)
    try:
        with _connected(server) as line:
            if server.starttls:
                line.starttls(context=ssl.create_default_context())
            if server.user is not None:
                line.login(server.user, server.password)
            line.send_message(letter)
    except smtplib.SMTPRecipientsRefused as refused:
        codes = [code for code, _ in refused.recipients.values()]
        raise NotSent(f"The mail server refused the address ({codes[0]}).", again=codes[0] < 500) from None
    except smtplib.SMTPAuthenticationError:
        raise NotSent("The mail server refused our name or password.", again=True) from None
    except smtplib.SMTPNotSupportedError:
        raise NotSent("The mail server lacks something that is needed.", again=False) from None
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"The mail server answered {error.smtp_code}.", again=error.smtp_code < 500) from None
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent(f"The mail server was not reached ({type(error).__name__}).", again=True) from None


def _letter(to: str, subject: str, text: str) -> EmailMessage:
    sender = current().mail_from
    letter = EmailMessage(policy=SMTP)
    try:
        letter["To"] = to
        letter["From"] = sender
        letter["Subject"] = subject
    except (ValueError, IndexError):
        # A line break or worse in an address: no mail server has to see that.
        raise NotSent("The address cannot stand in a letter.", again=False) from None
    letter["Date"] = formatdate()
    letter["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    # No out-of-office answers, please.
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text)
    return letter


def _connected(server: _Server) -> smtplib.SMTP:
    if server.wrapped:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=context)
    return smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)


def _server(address: str) -> _Server:
    """What ``mail_url`` says; the settings have checked its shape."""
    parts = urlsplit(address)
    return _Server(
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        wrapped=parts.scheme == "smtps",
        starttls=parts.scheme == "smtp" and "starttls=no" not in parts.query,
    )
