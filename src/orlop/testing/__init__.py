"""For tests of what builds on orlop: contract suites, random trees, a registry that fails."""
