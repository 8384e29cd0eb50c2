"""What is wrong with a database or a consumer, and the remedy."""
