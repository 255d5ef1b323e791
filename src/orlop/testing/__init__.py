"""For the tests of whoever builds on orlop: contract suites, random trees, a registry that fails."""
