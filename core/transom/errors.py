"""The errors that a client can meet. The class says what kind of failure it is, and so the HTTP status.

A message is one sentence: what was attempted, on what, and what to do about it. It is shown to the person
at the other end as it is, so it names things as that person named them.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "Cancelled",
    "Conflict",
    "CorruptContent",
    "DriverFailed",
    "DriverUnavailable",
    "Forbidden",
    "InvalidParameter",
    "NotFound",
    "NotModified",
    "RegistryError",
    "StartFailed",
    "StorageFull",
    "TransomError",
    "Unauthorized",
    "Unavailable",
    "Unsupported",
]


class TransomError(Exception):
    """Base of all errors that are meant to be read by a user; `status` is the HTTP status of the answer."""

    status: ClassVar[int] = 500


class NotModified(TransomError):
    """The thing is already in the wanted state (a start of a running container). Not a failure for clients."""

    status = 304


class InvalidParameter(TransomError):
    """A parameter, name, body or configuration that cannot be right whatever the state of the engine."""

    status = 400


class Unauthorized(TransomError):
    """A registry or the engine wants credentials, or refused those that were given."""

    status = 401


class Forbidden(TransomError):
    """Understood and not allowed."""

    status = 403


class NotFound(TransomError):
    """No such image, container, volume, network, exec instance or driver."""

    status = 404


class Conflict(TransomError):
    """Right in itself, and in conflict with the present state: a name in use, a running container."""

    status = 409


class CorruptContent(TransomError):
    """Content is not what its digest, size or format promised."""

    status = 500


class RegistryError(TransomError):
    """A registry answered nonsense, an error, or nothing."""

    status = 500


class StorageFull(TransomError):
    """The file system that holds the data root has no space (ENOSPC, EDQUOT) left for what was attempted."""

    status = 507


class Unsupported(TransomError):
    """Something that Docker knows and this engine, or the chosen driver, does not do."""

    status = 501


class Unavailable(TransomError):
    """The engine, or a part of it, cannot answer now."""

    status = 503


class DriverFailed(TransomError):
    """A driver, or the process that it stands for, failed in its own work."""

    status = 500


class DriverUnavailable(TransomError):
    """A driver cannot work on this machine: `reason` says why, `remedy` what would change that."""

    status = 400

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy


class StartFailed(InvalidParameter):
    """A container's process could not be started; `exit_code` is 126 or 127, as a shell would say, or 128."""

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Cancelled(TransomError):
    """The client that wanted the job has gone away, or the engine is stopping."""

    status = 499
