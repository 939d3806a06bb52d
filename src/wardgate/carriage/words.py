"""The words of the carriage, as hub and wire say them."""

TASK = "carry"
"""The one long task of a site."""

DOWN, UP = "wardgate.down", "wardgate.up"
"""Topics of messages to a site, and from it."""

BODY, TOKEN = "wardgate", "token"
"""Keys in a message: a frame of the road, and the proof that this wire sends it."""
