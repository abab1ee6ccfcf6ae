"""What operators ask: health and readiness."""


async def test_health_needs_nothing_and_readiness_says_what_is_missing(client):
    assert (await client.get("/health")).json() == {"status": "ok"}
    ready = await client.get("/ready")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "reasons": ["stream 'RawStreamData': has not answered yet"]}
