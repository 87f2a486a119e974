"""What the system tests, the demonstration and the benchmarks stand on: a private host, a registry, a daemon."""
