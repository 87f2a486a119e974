"""The command line: a client of the Docker Engine API, which does no work itself and so starts fast."""
