"""How an operation is defined once, and the source that is written for it: calls, derivatives, ``out=``, errors."""
