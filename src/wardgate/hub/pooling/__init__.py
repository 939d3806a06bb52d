"""The driving half of every federated computation."""
