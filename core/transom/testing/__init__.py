"""Conformance suites: what a driver of each kind must do, as tests that run on anybody's driver.

A driver's own test module subclasses the suite of its kind and says which driver it is:

    from transom.testing.graph import GraphDriverSuite
    from transom_zfs.driver import ZfsDriver

    class TestZfs(GraphDriverSuite):
        driver_class = ZfsDriver

and `pytest` runs it. The suites are

    graph.GraphDriverSuite, and graph_endurance.GraphEnduranceSuite with all of it
    exec.ExecDriverSuite
    volume.VolumeDriverSuite
    network.NetworkDriverSuite
    log.LogDriverSuite, and log.ReadableLogSuite with all of it for logs that can be read

All but those of logs run as root; what they mount and connect is in namespaces of their own, so that a driver that
fails leaves nothing behind on the machine. They need the extra `transom[testing]`.
"""
