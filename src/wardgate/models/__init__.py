"""Fitted models as users hold them: numbers in, predictions out, saved as plain JSON and never as pickle."""
