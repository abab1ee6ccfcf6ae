"""The settings of the index."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, SecretStr

from service.settings.table import Table


class IndexSettings(Table):
    """Where documents go, and which."""

    model_config = ConfigDict(title="Index")

    opensearch_url: str = Field("", pattern=r"^(https?://.+)?$", examples=["https://search.example:443"])
    """OpenSearch or Elasticsearch server for the documents. Without it they go to a SQLite file in data_dir."""
    opensearch_user: str = ""
    """User on that server; needs opensearch_password."""
    opensearch_password: SecretStr = SecretStr("")
    """Password of opensearch_user."""
    opensearch_api_key: SecretStr = SecretStr("")
    """Elasticsearch API key, in its encoded form, instead of a user."""
    opensearch_ca: Path | None = None
    """PEM file of the authority that signed the server's certificate, if it is not a public one."""
    opensearch_client_cert: Path | None = None
    """PEM file of the client certificate to authenticate with."""
    opensearch_client_key: Path | None = None
    """PEM file of that certificate's key, if it is separate."""
    opensearch_aws: Literal["off", "es", "aoss"] = "off"
    """Sign requests with AWS credentials (SigV4) for Amazon OpenSearch Service (es) or a serverless collection
    (aoss)."""
    opensearch_region: str = ""
    """AWS region of the domain or collection, if it is not the stream's."""
    dashboards_url: str = Field("", pattern=r"^(https?://.+)?$", examples=["https://search.example/_dashboards"])
    """Address of OpenSearch Dashboards or Kibana, with its base path. `cutwater setup` imports charts there; the page
    links to it."""
    index_prefix: str = Field(
        "cutwater", min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["cutwater"]
    )
    """Beginning of index names: PREFIX-YYYY.MM.DD. The alias PREFIX stands for all of them."""
    index: Literal["anomalies", "all"] = "anomalies"
    """Which readings become documents: anomalies only, or every scored reading."""
    index_record: Literal["off", "on"] = "off"
    """Whether documents also hold their record, so that its fields can be searched as record.NAME. See
    docs/how-to/opensearch.md."""
    index_rotation: Literal["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"] = "OneDay"
    """How much event time one index holds. A change does not affect existing indices."""
    retention_days: int = Field(0, ge=0, le=36500)
    """Days to keep documents; 0: for ever. A server deletes whole indices by a policy that `cutwater setup` makes.
    SQLite keeps this much event time before its newest document."""
