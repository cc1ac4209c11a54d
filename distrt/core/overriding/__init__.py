"""How classes take functions over with ``__torch_function__``: who is asked (`dispatch`), and where (`doors`)."""
