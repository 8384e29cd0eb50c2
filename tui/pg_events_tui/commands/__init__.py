"""The commands typed after `:`, and their completion."""
