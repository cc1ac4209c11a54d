"""Many elements become one, or an order: sums, extremes, ranks, running results, collections."""
