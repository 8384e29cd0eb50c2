"""What a test's code wrote to the database, as events."""
