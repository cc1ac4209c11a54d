"""Checks of what runs on a GPU: scripts that print what failed, and end with 1 where anything did."""
