"""Blobs in an S3 bucket."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from service.aws import AWSStore

_DELETED_AT_ONCE = 1000


class S3Blobs(AWSStore):
    """Objects below s3://BUCKET/PREFIX; see ``Blobs``. S3 keeps each in several places before it answers."""

    def __init__(self, url: str, region: str, setting: str = "snapshot_url") -> None:
        """``setting`` is what names ``url``, for messages."""
        remedies = {
            "NoSuchBucket": f"make the bucket, or set {setting} to another one",
            "AccessDenied": f"allow what deploy/iam-policy.json lists for {setting}",
        }
        super().__init__("s3", region, f"{setting} {url}", remedies)
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/".lstrip("/")

    async def open(self) -> None:
        """Connect and look whether the bucket may be used. Raises StateError."""
        await super().open()
        await self._call(self._client.list_objects_v2, Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    async def put(self, name: str, data: bytes) -> None:
        """Store an object."""
        await self._call(self._client.put_object, Bucket=self._bucket, Key=self._prefix + name, Body=data)

    async def get(self, name: str) -> bytes | None:
        """An object, or None."""

        async def whole(**request: Any) -> dict[str, bytes]:
            answer = await self._client.get_object(**request)
            async with answer["Body"] as body:
                return {"data": await body.read()}

        try:
            answer = await self._call(whole, expected=("NoSuchKey",), Bucket=self._bucket, Key=self._prefix + name)
        except ClientError:
            return None
        return bytes(answer["data"])

    async def names(self, prefix: str) -> list[str]:
        """Names that begin so."""
        found: list[str] = []
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        while request:
            answer = await self._call(self._client.list_objects_v2, **request)
            found += [item["Key"].removeprefix(self._prefix) for item in answer.get("Contents", ())]
            token = answer.get("NextContinuationToken")
            request = request | {"ContinuationToken": token} if token else {}
        return found

    async def delete(self, names: Collection[str]) -> None:
        """Delete objects."""
        keys = [{"Key": self._prefix + name} for name in names]
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = {"Objects": keys[start : start + _DELETED_AT_ONCE], "Quiet": True}
            await self._call(self._client.delete_objects, Bucket=self._bucket, Delete=some)
