"""The contracts that drivers keep: one module and one abstract class per kind."""

from transom.drivers.exec import ExecDriver
from transom.drivers.graph import GraphDriver
from transom.drivers.log import LogDriver
from transom.drivers.network import NetworkDriver
from transom.drivers.volume import VolumeDriver

__all__ = ["ExecDriver", "GraphDriver", "LogDriver", "NetworkDriver", "VolumeDriver"]
