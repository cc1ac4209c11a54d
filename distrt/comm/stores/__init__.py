"""Key-value stores, through which ranks find one another. The launcher hosts one, so: standard library only."""
