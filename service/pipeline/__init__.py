"""From records to documents: decoding, scoring and identity, without I/O."""
