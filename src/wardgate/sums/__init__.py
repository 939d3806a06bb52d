"""The secure sum: quantise, clip, mask, share noise, unmask. One protocol for everything federated."""
