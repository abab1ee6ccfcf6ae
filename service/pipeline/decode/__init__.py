"""From records' bytes to readings, or to the reasons why not."""

from service.pipeline.decode.decoded import Decoded, DecodeError, Decoder, Refusal
from service.pipeline.decode.decoder import JSONDecoder
from service.pipeline.decode.fields import Fields, find_field

__all__ = ["DecodeError", "Decoded", "Decoder", "Fields", "JSONDecoder", "Refusal", "find_field"]
