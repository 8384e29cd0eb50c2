"""Finds problems of a database or a consumer, and suggests remedies."""
