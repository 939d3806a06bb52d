"""What may cross the wall: frozen, closed types, canonical bytes, signed envelopes, the Merkle log."""
