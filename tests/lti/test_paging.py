from collections.abc import Callable
from typing import Any

import pytest

from lti_tool.database import db
from lti_tool.lti import paging
from lti_tool.lti.calls import Call
from lti_tool.lti.models import Registration
from tests.lti.conftest import NOW
from tests.lti.platform_double import Asked, FakePlatform, Reply

HERE = "https://canvas.example.edu/api/lti/courses/1/names_and_roles?limit=50"
BOOKMARK = "page=bookmark:WyJSb290IiwxMDBd&per_page=50"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("nonsense", None),
        (f'<{HERE}>; rel="current",<{HERE}&page=1>; rel="first"', None),
        (f'<{HERE}>; rel="current",<{HERE}&{BOOKMARK}>; rel="next"', f"{HERE}&{BOOKMARK}"),
        (f'<{HERE}&{BOOKMARK}>; title="a, b"; rel="last next"', f"{HERE}&{BOOKMARK}"),
        (f"<{HERE}&from=10>;rel=next", f"{HERE}&from=10"),
        (f"<{HERE}&from=10> ; REL='Next'", f"{HERE}&from=10"),
        (f"<{HERE}&from=10>; rel=“next”", f"{HERE}&from=10"),
        (f"<{HERE}&from=10>; rel=“next”".encode().decode("latin-1"), f"{HERE}&from=10"),
        (f"<{HERE}&amp;from=10>; rel=&quot;next&quot;", f"{HERE}&from=10"),
        ('</api/lti/more?page=B>; rel="next"', "https://canvas.example.edu/api/lti/more?page=B"),
        (f'<{HERE}&from=10>; rel="nextish"', None),
    ],
)
def test_the_next_page_is_found_however_the_platform_writes_it(
    header: str | None, expected: str | None
) -> None:
    assert paging.next_address(header, HERE) == expected


@pytest.mark.parametrize(
    "address",
    [
        "https://canvas.example.edu.evil.example/x",
        "http://canvas.example.edu/x",
        "https://user@canvas.example.edu/x",
    ],
)
def test_a_next_page_at_another_origin_never_sees_the_token(address: str) -> None:
    with pytest.raises(paging.NotRead, match="another address"):
        paging.next_address(f'<{address}>; rel="next"', HERE)


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def read(registration: Registration, platform: FakePlatform, waited: list[float]) -> Callable[..., list[Any]]:
    """Read the list at /list as a worker does, writing down the waits instead of waiting."""
    manner = paging.Manner(clock=lambda: NOW, timeout=5, wait=waited.append)
    first = Call(url=platform.url + "/list", scopes=("scope",))

    def _read(**more: int) -> list[Any]:
        return list(paging.read(first, registration.id, manner, **more))

    return _read


def linking(platform: FakePlatform, pages: dict[str, str | None]) -> None:
    """Let /list answer with the query's own text as its page, and a link to the query that ``pages`` names."""

    def answer(asked: Asked) -> Reply:
        query = asked.path.partition("?")[2]
        to = pages.get(query)
        link = {} if to is None else {"Link": f'<{platform.url}/list?{to}>; rel="next"'}
        return Reply(body=[query], headers=link)

    platform.answers["/list"] = answer


def test_every_page_is_read_with_one_token(platform: FakePlatform, read: Callable[..., list[Any]]) -> None:
    linking(platform, {"": "page=bookmark:WyJSb290", "page=bookmark:WyJSb290": "page=3"})

    assert read() == [[""], ["page=bookmark:WyJSb290"], ["page=3"]]
    assert len(platform.asked_at("/token")) == 1


def test_pages_that_lead_back_are_noticed(platform: FakePlatform, read: Callable[..., list[Any]]) -> None:
    linking(platform, {"": "page=2", "page=2": "page=3", "page=3": "page=2"})

    with pytest.raises(paging.NotRead, match="circles"):
        read()
    assert len(platform.asked_at("/list")) == 3


def test_a_list_without_end_is_given_up_loudly(
    platform: FakePlatform, read: Callable[..., list[Any]]
) -> None:
    linking(platform, {"": "page=2", **{f"page={number}": f"page={number + 1}" for number in range(2, 9)}})

    with pytest.raises(paging.NotRead, match="more than 3 pages"):
        read(most=3)
    assert len(platform.asked_at("/list")) == 3


def test_a_platform_that_is_throttling_is_asked_again_after_a_while(
    platform: FakePlatform, read: Callable[..., list[Any]], registration: Registration, waited: list[float]
) -> None:
    registration.platform.product = "canvas"
    db.session.commit()
    answers = [
        Reply(403, b"403 Forbidden (Rate Limit Exceeded)\n"),
        Reply(429, b"429 Forbidden (Rate Limit Exceeded)", {"Retry-After": "7"}),
        Reply(body=["all"]),
    ]
    platform.answers["/list"] = lambda _: answers.pop(0)

    assert read() == [["all"]]
    assert 2 <= waited[0] <= 2.5
    assert waited[1] == 7


def test_canvas_is_left_alone_while_its_bucket_is_nearly_full(
    platform: FakePlatform, read: Callable[..., list[Any]], registration: Registration, waited: list[float]
) -> None:
    registration.platform.product = "canvas"
    db.session.commit()
    left = iter(["600.0", "150.0", "-900", "soon"])

    def answer(asked: Asked) -> Reply:
        number = len(platform.asked_at("/list"))
        link = {"Link": f'<{platform.url}/list?page={number}>; rel="next"'} if number < 5 else {}
        return Reply(body=[], headers=link | {"X-Rate-Limit-Remaining": next(left, "")})

    platform.answers["/list"] = answer
    read()

    assert waited == [0, 3, 30, 0]


def test_a_platform_that_stays_busy_or_says_no_is_not_asked_for_ever(
    platform: FakePlatform, read: Callable[..., list[Any]], waited: list[float]
) -> None:
    platform.answers["/list"] = lambda _: Reply(503)
    with pytest.raises(paging.NotRead) as busy:
        read()
    platform.answers["/list"] = lambda _: Reply(418)
    with pytest.raises(paging.NotRead) as refused:
        read()

    assert busy.value.answer is not None
    assert (busy.value.answer.status, len(waited)) == (503, 3)
    assert refused.value.answer is not None
    assert refused.value.answer.status == 418


def test_no_connection_is_held_between_two_pages(
    platform: FakePlatform, read: Callable[..., list[Any]]
) -> None:
    pool: Any = db.engine.pool
    held: list[int] = []

    def answer(asked: Asked) -> Reply:
        held.append(pool.checkedout())
        return Reply(body=[], headers={} if "page" in asked.path else {"Link": '</list?page=2>; rel="next"'})

    platform.answers["/list"] = answer
    read()

    assert held == [0, 0]
