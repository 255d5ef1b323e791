"""The OCI runtime-spec's configuration of a container, as a document that is worked on."""

from orlop.spec.runtime.defaults import DEFAULT_CAPABILITIES, SPEC_VERSION, default_spec
from orlop.spec.runtime.document import RuntimeSpec, WantedUser
from orlop.spec.runtime.rules import Problem, check_runtime, iter_problems

__all__ = [
    "DEFAULT_CAPABILITIES", "SPEC_VERSION", "Problem", "RuntimeSpec", "WantedUser",
    "check_runtime", "default_spec", "iter_problems",
]  # fmt: skip
