import pytest

from orlop import platform
from orlop.errors import InvalidPlatformError
from orlop.platform import Platform, choose, matches, ordered

V8_6 = (
    "arm64/v8.6 arm64/v8.5 arm64/v8.4 arm64/v8.3 arm64/v8.2 arm64/v8.1 arm64"
    " arm/v8 arm/v7 arm/v6 arm/v5"
)


def parse(*texts):
    return [None if text is None else Platform.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("Linux/X86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/i386", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/v8.2", "linux/arm64/v8.2"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("arm64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("armel", "linux/arm/v6"),
        ("riscv64", "linux/riscv64"),
        ("macos/arm64", "darwin/arm64"),
        ("plan9/something/new", "plan9/something/new"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows(10.0+win32k)/amd64", "windows(10.0+win32k)/amd64"),
        ("linux(+b+a+b)/amd64", "linux(+a+b)/amd64"),
        ("linux(1%2B2+x%20y)/amd64", "linux(1%2B2+x%20y)/amd64"),
    ],
)
def test_parse_normalises_as_containerd_does(text, normalised):
    parsed = Platform.parse(text)
    assert str(parsed) == normalised
    assert Platform.parse(normalised) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "windows(10.0)",
        "nonsense",
        "*/*",
        "linux/*",
        "linux/",
        "/amd64",
        "linux//v8",
        "linux/arm/v7/more",
        "linux/amd64\n",
        "linux\n/amd64",
        "li nux/amd64",
        "linux(/amd64",
        "linux()x/amd64",
        "linux(1+)/amd64",
        "linux(%)/amd64",
        "linux(%zz)/amd64",
        "linux(%ff)/amd64",
        "linux/ämd64",
    ],
)
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidPlatformError):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux", "linux/arm/v6"),
        ("macOS", "darwin/arm/v6"),
        ("windows(10.0)", "windows(10.0)/arm/v6"),
        ("amd64", "freebsd/amd64"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_what_the_text_leaves_out_is_local(text, expected):
    local = Platform(os="freebsd", architecture="armel")
    assert str(Platform.parse(text, local)) == expected


def test_system_that_is_not_known_is_not_completed():
    with pytest.raises(InvalidPlatformError, match="no known system"):
        Platform.parse("nonsense", Platform.parse("amd64"))


def test_overlong_platform_is_refused():
    longest = "linux/" + "a" * (platform.MAX_PLATFORM_LENGTH - len("linux/"))
    assert Platform.parse(longest).architecture == longest[6:]
    with pytest.raises(InvalidPlatformError, match="longer than 512"):
        Platform.parse(longest + "a")


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("i686", "linux/386"),
        ("aarch64", "linux/arm64"),
        ("armv8l", "linux/arm/v8"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("armv5tel", "linux/arm/v5"),
        ("ppc64le", "linux/ppc64le"),
        ("s390x", "linux/s390x"),
        ("riscv64", "linux/riscv64"),
        ("loongarch64", "linux/loong64"),
    ],
)
def test_machines_are_known_by_what_uname_says(machine, expected):
    assert str(Platform.of_machine(machine)) == expected


def test_unknown_machine_is_refused_by_its_name():
    with pytest.raises(InvalidPlatformError, match="vax"):
        Platform.of_machine("vax")


def test_platform_keeps_what_was_written_until_it_is_normalised():
    written = Platform(os="Linux", architecture="aarch64", variant="v8", extra={"x": 1})
    assert str(written) == "Linux/aarch64/v8"
    assert written.normalized() == Platform(os="linux", architecture="arm64")
    assert written.normalized().extra == {"x": 1}


def test_nameless_features_are_left_out_of_the_text():
    odd = Platform(os="linux", architecture="amd64", os_features=("", "a", ""))
    assert str(odd) == "linux(+a)/amd64"
    assert str(Platform(os="linux", architecture="amd64", os_features=("",))) == "linux/amd64"


def test_nameless_platform_says_so():
    assert str(Platform(os="", architecture="")) == "unknown"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "amd64 386"),
        ("linux/amd64/v3", "amd64/v3 amd64/v2 amd64 386"),
        ("linux/386", "386"),
        ("linux/arm", "arm/v7 arm/v6 arm/v5"),
        ("linux/arm/v8", "arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm/v5", "arm/v5"),
        ("linux/arm64", "arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v8.2", "arm64/v8.2 arm64/v8.1 arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v9.1", f"arm64/v9.1 arm64/v9 {V8_6}"),
        ("linux/arm64/v10", "arm64/v10"),
        ("linux/riscv64/rva20u64", "riscv64/rva20u64"),
        ("linux/amd64/v99999999999", "amd64/v99999999999 386"),
    ],
)
def test_order_of_what_a_platform_runs(text, expected):
    runs = [str(each).removeprefix("linux/") for each in ordered(Platform.parse(text))]
    assert runs == expected.split()


def test_arm64_v9_5_and_above_hold_all_of_v8_9():
    for minor in "4567":
        runs = [each.variant for each in ordered(Platform.parse(f"linux/arm64/v9.{minor}"))]
        assert "v8.9" in runs


def test_version_and_features_are_carried_along():
    wanted = Platform.parse("linux(1.2+x)/amd64")
    assert [(each.os_version, each.os_features) for each in ordered(wanted)] == [
        ("1.2", ("x",)),
        ("1.2", ("x",)),
    ]


@pytest.mark.parametrize(
    ("wanted", "candidates", "expected"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64", "linux/386"], 1),
        ("linux/amd64", ["linux/386"], 0),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/arm64", ["darwin/arm64"], None),
        ("linux/amd64", [], None),
        ("linux/amd64", [None], 0),
        ("linux/amd64", [None, "linux/386"], 1),
        ("linux/amd64", ["linux/arm64", None, None], 1),
        ("linux/amd64", ["linux(+erofs)/amd64", "linux/amd64"], 1),
        ("linux(+erofs)/amd64", ["linux/amd64", "linux(+erofs)/amd64"], 1),
        ("linux(+erofs)/amd64", ["linux(+erofs)/386", "linux/amd64"], 1),
        ("linux(+a+b)/amd64", ["linux(+a)/amd64", "linux(+a+b)/amd64", "linux(+c)/amd64"], 1),
    ],
)
def test_choose_prefers_as_containerd_does(wanted, candidates, expected):
    assert choose(Platform.parse(wanted), parse(*candidates)) == expected


def test_attestations_are_never_chosen():
    unknown = Platform(os="unknown", architecture="unknown")
    assert choose(Platform.parse("linux/amd64"), [unknown]) is None


def test_candidates_are_compared_normalised():
    written = Platform(os="linux", architecture="x86_64", variant="v1")
    assert choose(Platform.parse("amd64"), [written]) == 0


@pytest.mark.parametrize(
    ("host", "container", "expected"),
    [
        ("10.0.17763.1", "10.0.17763.999", True),
        ("10.0.17763", "10.0.14393", False),
        ("10.0.20348", "10.0.20348", True),
        ("10.0.22621", "10.0.20348", True),
        ("10.0.26100", "10.0.20348", True),
        ("10.0.26200", "10.0.20348", False),
        ("10.0.26200", "10.0.26100", True),
        ("10.0.20348", "10.0.22621", False),
        ("10.0.20348", "6.3.20348", False),
        ("10.0.20348", "", True),
        ("", "10.0.20348", True),
        ("10.0.x", "10.0.20348", True),
    ],
)
def test_windows_builds_that_go_together(host, container, expected):
    wanted = Platform(os="windows", architecture="amd64", os_version=host)
    candidate = Platform(
        os="windows", architecture="amd64", os_version=container, os_features=("win32k",)
    )
    assert matches(wanted, candidate) is expected
