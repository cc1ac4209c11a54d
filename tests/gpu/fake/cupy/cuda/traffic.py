"""Bytes that crossed between host and device: what a test asks to see that nothing crosses unasked."""

to_host = 0
to_device = 0
