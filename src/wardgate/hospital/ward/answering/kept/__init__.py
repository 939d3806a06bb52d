"""What a ward remembers of one study, so that it may be killed at any moment and go on."""
