"""What ``Tensor`` is made of: base classes by theme, the methods that are bound to it, its text."""
