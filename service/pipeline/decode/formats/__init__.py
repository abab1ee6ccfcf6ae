"""The formats of messages, a file each."""
