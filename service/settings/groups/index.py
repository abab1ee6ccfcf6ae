"""The settings of the index."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from service.settings.table import Table


class IndexSettings(Table):
    """Where documents go, and which."""

    opensearch_url: str = Field("", pattern=r"^(https?://.+)?$")
    """OpenSearch or Elasticsearch to write anomalies to; without it they go to a SQLite file in data_dir."""
    opensearch_user: str = ""
    """User of the index server, with opensearch_password."""
    opensearch_password: SecretStr = SecretStr("")
    """Password of opensearch_user."""
    opensearch_api_key: SecretStr = SecretStr("")
    """Elasticsearch API key (its encoded form), instead of a user."""
    opensearch_ca: Path | None = None
    """PEM file of the authority that signed the index server's certificate, if it is not a public one."""
    opensearch_client_cert: Path | None = None
    """PEM file of the client certificate with which the service authenticates to the index server."""
    opensearch_client_key: Path | None = None
    """PEM file of that certificate's key, if it is in a file of its own."""
    opensearch_aws: Literal["off", "es", "aoss"] = "off"
    """Sign requests with AWS credentials (SigV4) for Amazon OpenSearch Service (es) or a serverless collection
    (aoss)."""
    opensearch_region: str = ""
    """AWS region of the domain or collection, if it is not the stream's."""
    dashboards_url: str = Field("", pattern=r"^(https?://.+)?$")
    """Address of OpenSearch Dashboards or Kibana, with its base path: `cutwater setup` imports the charts there, and
    the page links to it."""
    index_prefix: str = Field("cutwater", min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What the names of indices begin with: PREFIX-YYYY.MM.DD; the alias PREFIX is all of them."""
    index: Literal["anomalies", "all"] = "anomalies"
    """Which readings become documents: the anomalies, or every scored reading."""
    index_record: Literal["off", "on"] = "off"
    """Whether documents hold the record that their reading came from, too, so that its other fields can be seen and
    searched as record.NAME; see docs/how-to/opensearch.md."""
    index_rotation: Literal["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"] = "OneDay"
    """How much event time one index holds; a change leaves the indices of before as they are."""
    retention_days: int = Field(0, ge=0, le=36500)
    """Days that documents are kept; 0 for ever. A server deletes whole indices once all their documents are so old,
    by a policy that `cutwater setup` makes; the SQLite file keeps that much event time before its newest document."""
