"""What is installed in a database, what should be, and the steps from one to the other."""
