"""Conformance suites: what a driver of each kind must do, as tests that run on anybody's driver.

A driver's own test module subclasses the suite of its kind and says which driver it is:

    from transom.testing.graph import GraphDriverSuite
    from transom_zfs.driver import ZfsDriver

    class TestZfs(GraphDriverSuite):
        driver_class = ZfsDriver

and `pytest` runs it. The suites of graph and volume drivers run as root; what they mount is mounted in a
namespace of their own, so that a driver that fails leaves nothing behind on the machine. They need the
extra `transom[testing]`.
"""
