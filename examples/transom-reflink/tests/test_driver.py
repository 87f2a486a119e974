"""The driver keeps the contract of graph drivers. Run it where files can share data: `pytest --basetemp DIRECTORY`."""

from transom_reflink.driver import ReflinkDriver

from transom.testing.graph_endurance import GraphEnduranceSuite


class TestDriver(GraphEnduranceSuite):
    driver_class = ReflinkDriver
