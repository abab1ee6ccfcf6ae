"""The errors that Kinesis answers with: their types, status codes and wording are AWS's."""

from __future__ import annotations


class KinesisError(Exception):
    """An error answer. ``type`` is AWS's name for it, ``status`` the HTTP status."""

    def __init__(self, type_: str, message: str | None = None, status: int = 400) -> None:
        super().__init__(message or type_)
        self.type = type_
        self.message = message
        self.status = status


def not_found(message: str) -> KinesisError:
    """The stream or shard does not exist."""
    return KinesisError("ResourceNotFoundException", message)


def in_use(message: str) -> KinesisError:
    """The stream exists already, or its state does not allow this."""
    return KinesisError("ResourceInUseException", message)


def invalid(message: str) -> KinesisError:
    """The request is well formed, but what it asks for makes no sense here."""
    return KinesisError("InvalidArgumentException", message)


def over_limit(message: str) -> KinesisError:
    """The account's limits do not allow it."""
    return KinesisError("LimitExceededException", message)
