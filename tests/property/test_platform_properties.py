from hypothesis import given
from hypothesis import strategies as st

from orlop.errors import InvalidPlatformError
from orlop.platform import Platform, choose, matches, ordered

texts = st.text(alphabet="abAZ019._-%+() ä", min_size=1, max_size=6)
systems = st.sampled_from(["linux", "Linux", "darwin", "macos", "windows", "unknown"])
architectures = st.sampled_from(
    ["amd64", "x86_64", "386", "i386", "arm", "armhf", "arm64", "aarch64", "riscv64", "unknown"]
)
variants = st.sampled_from(
    ["", "v1", "v2", "v3", "v4", "5", "v5", "v6", "v7", "8", "v8", "v8.0", "v8.3", "v9", "v9.5"]
)
platforms = st.builds(
    Platform,
    os=systems,
    architecture=architectures,
    variant=variants,
    os_version=st.just("") | texts,
    os_features=st.lists(texts, max_size=3).map(tuple),
)


@given(platforms)
def test_normalising_is_idempotent(platform):
    """A platform in canonical form is its own canonical form."""
    assert platform.normalized().normalized() == platform.normalized()


@given(platforms)
def test_text_of_a_platform_is_read_as_the_same_platform(platform):
    """A specifier is os[(version+feature...)]/architecture[/variant]."""
    assert Platform.parse(str(platform)) == platform.normalized()


@given(platforms)
def test_platform_runs_its_own_images_first(platform):
    """The best match for a platform is the platform itself."""
    runs = ordered(platform)
    assert runs[0] == platform.normalized()
    assert len(set(runs)) == len(runs)


@given(platforms)
def test_what_runs_is_the_smaller_the_later_it_comes(platform):
    """What the second choice runs, the first runs as well."""
    runs = ordered(platform)
    for each in runs:
        assert set(ordered(each)) <= set(runs)


@given(platforms, st.lists(st.none() | platforms, max_size=6))
def test_chosen_candidate_is_the_first_of_the_best(wanted, candidates):
    """If multiple manifests match a client or runtime's requirements, the first matching entry
    SHOULD be used."""
    at = choose(wanted, candidates)
    known = [each for each in candidates if each is not None]
    if at is None:
        assert None not in candidates
        assert not any(matches(wanted, each) for each in known)
    elif candidates[at] is None:
        assert at == candidates.index(None)
        assert not any(matches(wanted, each) for each in known)
    else:
        chosen = candidates[at].normalized()
        assert matches(wanted, chosen)
        assert chosen not in [each and each.normalized() for each in candidates[:at]]


@given(platforms, st.lists(platforms, max_size=5), st.randoms())
def test_choice_does_not_hang_on_the_order_of_different_platforms(wanted, candidates, random):
    """Preference is a property of the platforms, not of their positions."""
    shuffled = random.sample(candidates, len(candidates))
    first, second = choose(wanted, candidates), choose(wanted, shuffled)
    assert (first is None) == (second is None)
    if first is not None:
        one, other = candidates[first].normalized(), shuffled[second].normalized()
        assert (one.architecture, one.variant) == (other.architecture, other.variant)


@given(st.one_of(st.text(), st.text(alphabet="linuxarm64v8/()+%.*", max_size=30)))
def test_any_text_is_a_platform_or_refused(text):
    """A text is a platform that can be written and read again, or it is refused."""
    try:
        found = Platform.parse(text)
    except InvalidPlatformError:
        return
    assert Platform.parse(str(found)) == found


@given(st.text(max_size=12))
def test_any_machine_is_known_or_refused(machine):
    """A machine is a platform of a known architecture, or it is refused."""
    try:
        found = Platform.of_machine(machine)
    except InvalidPlatformError:
        return
    assert found == found.normalized()
    assert found.os == "linux"
