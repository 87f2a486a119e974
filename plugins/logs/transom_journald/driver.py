"""Logs in the journal of systemd. What one container wrote is found by the field CONTAINER_ID_FULL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.log import LogDriver, LogReader, LogWriter
from transom.errors import DriverUnavailable
from transom.logs.attributes import ATTRIBUTE_OPTIONS, attributes_of, check_attributes, tag_of
from transom.logs.options import refuse_unknown

__all__ = ["JournaldDriver"]

SOCKET = Path("/run/systemd/journal/socket")


class JournaldDriver(LogDriver):
    """The log driver `journald`."""

    name: ClassVar[str] = "journald"
    waits: ClassVar[bool] = True
    limits: ClassVar[tuple[str, ...]] = (
        "The journal's own limits of size and rate decide what is kept.",
        "What was kept outlives the container.",
    )

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if journald listens."""
        del root
        if not SOCKET.is_socket():
            raise DriverUnavailable("journald is not enabled on this host", "run systemd-journald")

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        refuse_unknown(options, ATTRIBUTE_OPTIONS, cls.name)
        check_attributes(options)

    def open(self) -> LogWriter:
        from transom_journald.native import field_name
        from transom_journald.writer import JournaldWriter

        container = self.container
        tag = tag_of(container, self.options, "{{.ID}}")
        fields = {
            **attributes_of(container, self.options, field_name),
            "CONTAINER_ID": container.id[:12],
            "CONTAINER_ID_FULL": container.id,
            "CONTAINER_NAME": container.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": container.image_name,
            "SYSLOG_IDENTIFIER": tag,
        }
        return JournaldWriter(SOCKET, fields)

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        from transom_journald.reader import JournalReader

        return JournalReader(self.container.id, since=since, tail=tail)
