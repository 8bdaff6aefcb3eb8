"""The private-service rules on fly.toml and on an app's addresses, above what flyctl itself says."""
