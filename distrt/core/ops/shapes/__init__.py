"""Views and copies under other shapes: nothing is computed."""
