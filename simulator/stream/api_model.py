"""The description of Kinesis's API that botocore brings: what requests and answers hold."""

from __future__ import annotations

from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

SERVICE: Any = ServiceModel(Loader().load_service_model("kinesis", "service-2"), "kinesis")
