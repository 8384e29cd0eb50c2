"""Compares installed with wanted triggers, and plans and applies the steps between them."""
