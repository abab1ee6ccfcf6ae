"""Kinesis: client, polling, fan-out, aggregates and the byte budget."""
