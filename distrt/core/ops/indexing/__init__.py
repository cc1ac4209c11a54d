"""Picking and placing: keys, masks, index tensors, rows by number."""
