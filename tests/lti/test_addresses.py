import pytest

from lti_tool.lti.addresses import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://School.Example:443/courses/7?x=1#y", "https://school.example"),
        ("http://lms.localhost:8600/", "http://lms.localhost:8600"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("https://school.example:99999/", None),
        ("https://user@school.example/", None),
        ("https://a; script-src *", None),
        ("https://", None),
        ("ftp://school.example/", None),
        ("javascript:alert(1)", None),
        ("school.example", None),
        ("", None),
        (None, None),
    ],
)
def test_an_origin_is_written_one_way_and_nothing_else_passes_for_one(
    url: str | None, origin: str | None
) -> None:
    assert origin_of(url) == origin
