"""The local half of every federated computation."""
