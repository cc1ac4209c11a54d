"""Mathematics element by element: arithmetic, comparison, rounding, powers, angles, special functions."""
