"""Promises about every page: who may open it, what a form needs, what a refusal says."""

import ast

from flask import Flask

from lti_tool import errors
from lti_tool.routes.guards import Who
from lti_tool.routes.refusals import PAGES
from tests.architecture.sources import PACKAGE, ROOT, modules

FILES_OF_LIBRARIES = {"static", "bootstrap.static"}
VERBS = {"get", "post", "put", "patch", "delete", "route"}


def guarded_views(app: Flask) -> dict[str, Who]:
    return {
        name: view.allowed  # type: ignore[attr-defined]  # what the guard leaves on a view
        for name, view in app.view_functions.items()
        if name not in FILES_OF_LIBRARIES
    }


def test_every_route_says_who_may_use_it(app: Flask):
    silent = {name for name, view in app.view_functions.items() if not hasattr(view, "allowed")}

    assert silent <= FILES_OF_LIBRARIES


def test_every_view_is_guarded_exactly_once():
    for name, tree in modules(PACKAGE / "routes"):
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            calls = [each.func for each in function.decorator_list if isinstance(each, ast.Call)]
            routed = [call for call in calls if isinstance(call, ast.Attribute) and call.attr in VERBS]
            guards = [call for call in calls if isinstance(call, ast.Name) and call.id == "allow"]
            assert len(guards) == (1 if routed else 0), f"{name}: {function.name}"


def test_what_belongs_to_a_launch_or_a_stay_is_never_open_to_anyone(app: Flask):
    views = guarded_views(app)
    open_to_all = {Who.ANYONE, Who.PLATFORM, Who.ARRIVING}

    for rule in app.url_map.iter_rules():
        if rule.endpoint in views:
            inside = "<launch>" in rule.rule or "<stay>" in rule.rule
            assert (views[rule.endpoint] in open_to_all) is not inside, rule.rule


def test_a_form_without_its_token_is_refused_wherever_anyone_may_post(app: Flask):
    views = guarded_views(app)
    client = app.test_client()
    posts = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ()) and views.get(rule.endpoint) is Who.ANYONE
    ]

    assert posts
    for path in posts:
        answer = client.post(path, base_url="https://tool.localhost")
        assert answer.status_code == PAGES[errors.FormStale].status, path


def test_every_refusal_has_a_page_that_says_what_to_do_next():
    assert set(PAGES) == descendants(errors.Refused)
    for kind, page in PAGES.items():
        assert 400 <= page.status < 600, kind
        assert page.title, kind
        assert page.happened, kind
        assert page.next_step, kind


def descendants(kind: type) -> set[type]:
    return {below for child in kind.__subclasses__() for below in {child} | descendants(child)}


def test_a_routes_module_has_at_most_300_lines():
    for path in (PACKAGE / "routes").glob("*.py"):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 300, f"{path.relative_to(ROOT)}: {lines}"
