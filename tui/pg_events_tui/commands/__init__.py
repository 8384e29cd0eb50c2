"""Commands typed after `:`, and their completion."""
