"""Process groups: how ranks find one another and exchange arrays. ``distrt.distributed`` is the public face."""
