"""Reverse-mode differentiation: the nodes that operations record, and the engine that runs them backwards."""
