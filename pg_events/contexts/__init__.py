"""What an application tells the log: the context of its transactions, and events of its own."""
