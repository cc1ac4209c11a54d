"""Draws whose distribution a tensor gives."""
