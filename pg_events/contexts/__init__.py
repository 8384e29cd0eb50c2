"""Context: what an application says about its transactions, set by code and sent with the first write."""
