"""Who contributed: shares of a joint model's worth, from sums over persons alone."""
