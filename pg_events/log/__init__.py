"""Events out of the log in the database: live, kept, by row; and how long they are kept."""
