"""What layers are made of: activations, normalisation, attention, recurrence, losses."""
