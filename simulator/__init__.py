"""Makes what Cutwater consumes: sensors, recordings played back, and a local stream that speaks the Kinesis API."""


class SimulatorError(Exception):
    """Something that the user can mend; the message says what is wrong."""
