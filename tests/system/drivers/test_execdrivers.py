"""The built-in exec drivers keep the contract of exec drivers."""

from __future__ import annotations

from transom.testing.exec import ExecDriverSuite
from transom_chroot.driver import ChrootDriver
from transom_namespaces.driver import NamespacesDriver


class TestNamespaces(ExecDriverSuite):
    driver_class = NamespacesDriver


class TestChroot(ExecDriverSuite):
    driver_class = ChrootDriver
