"""Operations on tensors that lie on several ranks: which parts a rank computes with, and how the result lies.

``functions.py`` is asked for every public function that is given a `DTensor`, and ``dispatch.py`` makes the call.
``rules.py`` says what a rule is, and the other files have them, by family; what has none is computed with whole
tensors on every rank.
"""
