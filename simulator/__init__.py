"""Makes what Cutwater consumes: sensors, recordings played back, and a local stream that speaks the Kinesis API."""
