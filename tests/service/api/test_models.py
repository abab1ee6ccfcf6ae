"""What answers are said to hold is what they hold."""

import re

from service.api.examples import SCORE


async def test_every_example_has_the_fields_of_a_document(client):
    """So the documentation cannot fall behind the documents."""
    (document, *_) = (await client.get("/scores")).json()["scores"]
    expected = {re.sub("_v$", "_iotValue", name) for name in document}
    assert set(SCORE) == expected
