import pytest

from orlop.registry.challenge import MAX_CHALLENGE_LENGTH, parse_challenges


def parsed(*headers):
    return [(found.scheme, dict(found.parameters)) for found in parse_challenges(headers)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ("Basic realm=x", [("basic", {"realm": "x"})]),
        ("BEARER Realm = x", [("bearer", {"realm": "x"})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"},
                )
            ],
        ),
        (
            'Basic realm="a, b", Bearer realm="c"',
            [("basic", {"realm": "a, b"}), ("bearer", {"realm": "c"})],
        ),
        (r'Basic realm="a \"b\" \\ \c"', [("basic", {"realm": r'a "b" \ c'})]),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Negotiate YWJj==, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Negotiate YWJj", [("negotiate", {})]),
        ("Basic realm=x, Negotiate", [("basic", {"realm": "x"}), ("negotiate", {})]),
        ("Bearer ,, realm=x ,, service=y ,", [("bearer", {"realm": "x", "service": "y"})]),
        ("Bearer realm=x, realm=y", [("bearer", {"realm": "x"})]),
        ('Bearer scope=""', [("bearer", {"scope": ""})]),
        ('?"what, ever", Basic realm=x', [("basic", {"realm": "x"})]),
        ('Bearer realm="never closed', [("bearer", {})]),
        ("Bearer realm=https://unquoted/, service=y", [("bearer", {"service": "y"})]),
    ],
)
def test_challenges(header, expected):
    assert parsed(header) == expected


def test_several_headers_are_one_list():
    assert parsed("Basic realm=x", "Bearer realm=y") == [
        ("basic", {"realm": "x"}),
        ("bearer", {"realm": "y"}),
    ]


def test_scopes_are_separated_by_blanks():
    (challenge,) = parse_challenges(['Bearer scope="repository:a:pull  registry:catalog:*"'])
    assert challenge.scopes == {"repository:a:pull", "registry:catalog:*"}


def test_what_follows_the_limit_is_ignored():
    head = "Basic realm=x,"
    filler = "," * (MAX_CHALLENGE_LENGTH - len(head))
    assert parsed(head + filler + "Bearer realm=y") == [("basic", {"realm": "x"})]


@pytest.mark.parametrize("piece", ['"', "a=", "a ", "a,", '="\\', "Basic realm=", "\\", '\\"'])
def test_hostile_headers_end(piece):
    """Each of them would take hours if an expression went back over what it has read."""
    for begin in ("", "Basic ", 'Basic a="'):
        parse_challenges([begin + piece * MAX_CHALLENGE_LENGTH])
