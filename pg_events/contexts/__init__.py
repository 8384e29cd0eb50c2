"""Context of transactions, and events that an application writes itself."""
