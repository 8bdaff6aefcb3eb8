"""One file a family of rules: pure functions from a `Subject` to findings."""
