"""Uploading one blob of the content store, whatever the registry and the network do meanwhile."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from transom.config import Config
from transom.errors import CorruptContent, Forbidden, RegistryError, Unauthorized
from transom.graph.content import ContentStore, Descriptor
from transom.graph.images import ImageStore
from transom.graph.reference import Reference
from transom_images.destination import Destination, Session
from transom_images.progress import Progress
from transom_images.refusals import Rejected
from transom_images.retries import Retries, announcement
from transom_images.transport import Interrupted

__all__ = ["Uploader", "other_repositories"]

#: A blob of up to so many bytes is sent with the end of its upload, in one request less.
_SMALL = 64 << 10
#: How many other repositories are asked for a blob before it is sent.
_MOST_MOUNTS = 3


def other_repositories(images: ImageStore, reference: Reference, blob: Descriptor) -> list[str]:
    """Return the paths of a registry's other repositories that have a blob, those with a like path first."""
    own = reference.path.split("/")

    def likeness(path: str) -> int:
        return sum(a == b for a, b in zip(path.split("/"), own, strict=False))

    known = images.repositories(blob.digest)
    paths = {item.path for item in known if item.domain == reference.domain and item.path != reference.path}
    return sorted(paths, key=lambda path: (-likeness(path), path))


class Uploader:
    """Uploads blobs to one repository. `check` is called often and may raise."""

    def __init__(
        self, destination: Destination, content: ContentStore, config: Config, check: Callable[[], None]
    ) -> None:
        self._destination = destination
        self._content = content
        self._attempts = config.max_download_attempts
        self._check = check

    def upload(self, blob: Descriptor, sources: Sequence[str], progress: Progress) -> None:
        """Return when the repository has the blob, from `sources`, the paths of other repositories, or from here.

        Raises `Forbidden`, `Unauthorized`, `RegistryError` as the registry says, `CorruptContent` if the blob is
        damaged, and `NotFound` if it is not in the content store.
        """
        with self._content.open(blob.digest) as file:
            upload = _Upload(self._destination, file, blob, self._check, progress)
            retries = Retries(self._attempts, self._check, lambda left: progress.say(announcement(left)))
            while True:
                furthest = upload.furthest
                try:
                    upload.run(sources)
                    return
                except Interrupted as error:
                    if upload.furthest > furthest:
                        retries.progressed()
                    retries.wait(error)
                except Rejected:
                    self._blame(blob)
                    raise

    def _blame(self, blob: Descriptor) -> None:
        """Raise `CorruptContent` if a blob that a registry did not take is not what it should be."""
        found = hashlib.new(blob.digest.algorithm)
        with self._content.open(blob.digest) as file:
            while data := file.read(_Piece.CHUNK):
                self._check()
                found.update(data)
        if found.hexdigest() != blob.digest.hex:
            raise CorruptContent(
                f"the blob {blob.digest} is damaged on this machine's disk: remove its image, and pull it again"
            )


@dataclass
class _Upload:
    """The upload of one blob. `furthest` is the most bytes that the registry has confirmed so far."""

    destination: Destination
    file: io.FileIO
    blob: Descriptor
    check: Callable[[], None]
    progress: Progress
    furthest: int = 0
    session: Session | None = None
    mounts: list[str] = field(default_factory=list)

    def run(self, sources: Sequence[str]) -> None:
        """Try once, going on where the try before has ended. Raises `Interrupted`."""
        if self.destination.has_blob(self.blob.digest):
            # The answer to the end of an upload may be what was lost.
            self.progress.say("Pushed" if self.session else "Layer already exists")
            return
        session = self._resume()
        if session is None:
            mounted = self._mount(sources)
            if mounted:
                self.progress.say(f"Mounted from {mounted}")
                return
            session = self.session or self.destination.begin()
        self.session = session
        self._send(session)
        self.progress.say("Pushed")

    def _resume(self) -> Session | None:
        """Return the session of an earlier try, as far as the registry knows it."""
        session, self.session = self.session, None
        if session is None:
            return None
        found = self.destination.ask(session)
        if found is None or found.offset > self.blob.size:
            return None
        self.furthest = max(self.furthest, found.offset)
        return found

    def _mount(self, sources: Sequence[str]) -> str:
        """Return the repository that the blob was taken over from; empty if there is none."""
        for source in sources[:_MOST_MOUNTS]:
            if source in self.mounts:
                continue
            self.mounts.append(source)
            try:
                session = self.destination.mount(self.blob.digest, source)
            except (Forbidden, RegistryError, Unauthorized):
                # The blob may not be there any more, or not for us; it can be sent all the same.
                continue
            if session is None:
                return source
            if self.session is not None:
                self.destination.cancel(self.session)
            self.session = session
        return ""

    def _send(self, session: Session) -> None:
        left = self.blob.size - session.offset
        if left > _SMALL:
            self.destination.append(session, left, lambda: self._piece(session.offset))
            self.furthest, left = session.offset, 0
        body: Callable[[], _Piece | bytes] = bytes
        if left:
            offset = session.offset

            def body() -> _Piece:
                return self._piece(offset)

        self.destination.finish(session, self.blob.digest, body)

    def _piece(self, offset: int) -> _Piece:
        return _Piece(self.file, offset, self.blob.size, self._report)

    def _report(self, current: int) -> None:
        self.check()
        self.progress.count("Pushing", current, self.blob.size)


class _Piece:
    """The bytes of a file from `offset` to `end`, as the body of a request. `report` is told how far it was read."""

    CHUNK = 256 << 10

    def __init__(self, file: io.FileIO, offset: int, end: int, report: Callable[[int], None]) -> None:
        self._file = file
        self._offset = offset
        self._end = end
        self._report = report
        file.seek(offset)

    def __len__(self) -> int:
        return self._end - self._offset

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(self.CHUNK):
            yield data

    def read(self, count: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""
        data = self._file.read(min(count, self._end - self._offset))
        self._offset += len(data)
        self._report(self._offset)
        return data
