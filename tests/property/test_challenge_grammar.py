import string

from hypothesis import given
from hypothesis import strategies as st

from orlop.registry.challenge import parse_challenges

TOKENS = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
BLANKS = st.sampled_from(["", " ", "\t", "  "])


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def parameters(draw):
    """A parameter as text, and what it means."""
    name = draw(TOKENS)
    as_token = draw(st.booleans())
    value = draw(TOKENS if as_token else TEXT)
    written = value if as_token else quoted(value)
    return f"{name}{draw(BLANKS)}={draw(BLANKS)}{written}", (name.lower(), value)


@st.composite
def challenges(draw):
    """A challenge as text, and what it means."""
    scheme = draw(TOKENS)
    found = draw(st.lists(parameters(), max_size=4))
    meaning = {}
    for _, (name, value) in found:
        meaning.setdefault(name, value)
    separator = draw(st.sampled_from([",", ", ", " ,\t", ",,"]))
    text = scheme + (" " + separator.join(text for text, _ in found) if found else "")
    return text, (scheme.lower(), meaning)


@given(st.lists(challenges(), max_size=4), st.sampled_from([", ", ",", " , "]))
def test_challenges_are_read_as_they_are_written(written, separator):
    """WWW-Authenticate = [ challenge *( OWS "," OWS challenge ) ] (RFC 9110, appendix A)."""
    header = separator.join(text for text, _ in written)
    found = [(one.scheme, dict(one.parameters)) for one in parse_challenges([header])]
    assert found == [meaning for _, meaning in written]


@given(st.lists(st.text(max_size=80), max_size=3))
def test_nothing_that_a_server_sends_is_an_error(headers):
    """A recipient ought to parse and ignore what it does not understand (RFC 9110, 11.6.1)."""
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()
