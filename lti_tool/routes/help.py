"""The guides for administrators, faculty and whoever runs Tessera: the files of docs/, as pages.

They name an example address; here they name the one that this Tessera has, so that its fields can be copied.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from lti_tool.errors import NotHere
from lti_tool.routes.guards import Who, allow
from lti_tool.settings import current, docs_dir

blueprint = Blueprint("help", __name__)
_EXAMPLE = "https://tessera.example.edu"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,60}")
_GUIDE_LINK = re.compile(r"([a-z][a-z0-9-]*)\.md(#[\w-]+)?")


@dataclass(frozen=True)
class Guide:
    """One of the files."""

    name: str
    title: str
    body: Markup


@blueprint.get("/help")
@allow(Who.ANYONE)
def overview() -> ResponseReturnValue:
    """Which guides there are."""
    names = sorted(path.stem for path in docs_dir().glob("*.md"))
    return render_template(
        "help/overview.html", guides=[_guide(name, current().public_url) for name in names]
    )


@blueprint.get("/help/<name>")
@allow(Who.ANYONE)
def page(name: str) -> ResponseReturnValue:
    """One guide."""
    if not _NAME.fullmatch(name) or not (docs_dir() / f"{name}.md").is_file():
        raise NotHere
    return render_template("help/page.html", guide=_guide(name, current().public_url))


@cache
def _guide(name: str, public_url: str) -> Guide:
    text = (docs_dir() / f"{name}.md").read_text(encoding="utf-8").replace(_EXAMPLE, public_url)
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    title, rest = name, tokens
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        title, rest = _plain(tokens[1]), tokens[3:]
    body = reader.renderer.render(_dressed(rest), reader.options, {})
    return Guide(name, title, Markup(body))  # noqa: S704 - our own files, and the reader escapes HTML in them


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])


def _dressed(tokens: Sequence[Token]) -> list[Token]:
    """With headings that can be linked to, links between the guides, tables that become lists on a narrow screen as
    those of other pages do, and examples that can be scrolled without a mouse."""
    dressed: list[Token] = []
    columns: list[str] = []
    column = 0
    for at, token in enumerate(tokens):
        before, after = [], []
        match token.type:
            case "heading_open":
                token.attrSet("id", "-".join(re.findall(r"\w+", _plain(tokens[at + 1]).lower())))
            case "inline":
                _lead_on(token)
            case "table_open":
                token.attrs, columns = {"class": "table data-table", "role": "table"}, []
            case "thead_open" | "tbody_open" | "tr_open":
                token.attrSet("role", "row" if token.tag == "tr" else "rowgroup")
                column = 0
            case "th_open":
                columns.append(_plain(tokens[at + 1]))
                token.attrs = {"role": "columnheader", "scope": "col"}
            case "td_open" | "td_close" if column == 0:
                # What the row is about.
                token.tag = "th"
                if token.nesting == 1:
                    token.attrs = {"role": "rowheader", "scope": "row"}
            case "td_open":
                token.attrs = {"role": "cell", "data-label": columns[column]}
                after = [Token("cell_open", "span", 1, attrs={"class": "cell"})]
            case "td_close":
                before = [Token("cell_close", "span", -1)]
            case "fence" | "code_block":
                facts = {"class": "example", "role": "group", "aria-label": "Example", "tabindex": "0"}
                before = [Token("example_open", "div", 1, attrs={**facts})]
                after = [Token("example_close", "div", -1)]
        if token.type == "td_close":
            column += 1
        dressed += [*before, token, *after]
    return dressed


def _lead_on(inline: Token) -> None:
    children = inline.children or []
    for at, child in enumerate(children):
        if child.type != "link_open":
            continue
        target = str(child.attrGet("href"))
        found = _GUIDE_LINK.fullmatch(target)
        if found is not None:
            child.attrSet("href", url_for("help.page", name=found[1]) + (found[2] or ""))
        elif target.startswith("../"):
            # A file of the source, which is not served here: its name is enough.
            end = next(one for one in children[at:] if one.type == "link_close")
            child.tag = end.tag = "span"
            child.attrs = {}
