"""What a registry means by an answer that is not the one that was asked for, in Docker's words."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson

from transom.errors import Forbidden, NotFound, RegistryError, Unauthorized
from transom.graph.reference import Reference
from transom_images.authentication import parse_challenges
from transom_images.manifests import LIMIT
from transom_images.retries import parse_retry_after
from transom_images.transport import Answer, Interrupted

__all__ = ["Rejected", "denied_pull", "refuse_pull", "refuse_push"]

_DENIED = "requested access to the resource is denied"


class Rejected(RegistryError):
    """A registry has understood what it was sent, and does not take it."""


def refuse_pull(answer: Answer, reference: Reference) -> None:
    """Return if the answer to a question about `reference` is a good one, or raise what it means.

    Raises `Interrupted` for what may pass, `NotFound`, `Unauthorized`, `RegistryError`.
    """
    if answer.status < 300:
        return
    code, message = _error(answer)
    _refuse_for_now(answer, message)
    name, status = reference.familiar_name, answer.status
    if code == "MANIFEST_UNKNOWN" or (not code and status == 404 and "/manifests/" in answer.url):
        message = message or "manifest unknown"
        raise NotFound(f"manifest for {reference.familiar} not found: manifest unknown: {message}")
    if code == "NAME_UNKNOWN":
        raise NotFound(f"repository {name} not found: name unknown: {message}")
    if status in (401, 403):
        denied = denied_pull(reference)
        if _is_denied(answer, code):
            raise NotFound(f"{denied}: denied: {message if code == 'DENIED' and message else _DENIED}")
        raise Unauthorized(f"{denied}: unauthorized: {message or 'authentication required'}")
    if status == 404:
        raise NotFound(f"{answer.host} has no {urlsplit(answer.url).path}: {message or 'not found'}")
    raise RegistryError(f"{answer.host} answers to {answer.url} with status {status}: {message or 'no reason given'}")


def denied_pull(reference: Reference) -> str:
    """Return how the refusal of a pull begins."""
    return f"pull access denied for {reference.familiar_name}, repository does not exist or may require 'docker login'"


def refuse_push(answer: Answer) -> None:
    """Return if the answer to a part of a push is a good one, or raise what it means.

    Raises `Interrupted` for what may pass, `Forbidden`, `Unauthorized`, `Rejected`.
    """
    if answer.status < 300:
        return
    code, message = _error(answer)
    _refuse_for_now(answer, message)
    if answer.status in (401, 403) and _is_denied(answer, code):
        raise Forbidden(f"denied: {message if code == 'DENIED' and message else _DENIED}")
    if answer.status == 401:
        raise Unauthorized(f"unauthorized: {message or 'authentication required'}")
    if code == "BLOB_UPLOAD_UNKNOWN" or answer.status == 416:
        # It was restarted, or has less than was sent: where to go on has to be found out.
        raise Interrupted(f"{answer.host} does not know how far the upload is: {message or answer.status_line}")
    if code:
        raise Rejected(f"{code.lower().replace('_', ' ')}: {message or 'no reason given'}")
    asked = f"{answer.method} {urlsplit(answer.url).path}"
    raise Rejected(f"{answer.host} answers to {asked} with the HTTP status {answer.status_line}")


def _refuse_for_now(answer: Answer, message: str) -> None:
    """Raise `Interrupted` if the answer says that another one may come later."""
    retry_after = parse_retry_after(answer.headers.get("Retry-After", ""))
    if answer.status == 429:
        raise Interrupted(f"toomanyrequests: {message or f'{answer.host} wants fewer requests'}", retry_after)
    if answer.status >= 500 or answer.status == 408:
        detail = f": {message}" if message else ""
        raise Interrupted(f"{answer.host} failed with status {answer.status}{detail}", retry_after)


def _is_denied(answer: Answer, code: str) -> bool:
    """Whether who asks is known, and may not."""
    challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
    scarce = any(item.parameters.get("error") == "insufficient_scope" for item in challenges)
    return scarce or code == "DENIED" or answer.status == 403


def _error(answer: Answer) -> tuple[str, str]:
    """Return code and message of a registry's error (distribution specification, "Error Codes"), or ""."""
    try:
        document = orjson.loads(answer.read(LIMIT))
        first = document["errors"][0]
        code, message = first.get("code", ""), first.get("message", "")
    except (orjson.JSONDecodeError, RegistryError, LookupError, TypeError, AttributeError):
        return "", ""
    if not isinstance(code, str) or not isinstance(message, str):
        return "", ""
    return code.upper(), message[:1000]
