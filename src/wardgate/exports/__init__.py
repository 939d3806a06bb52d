"""A released or judged corpus in the forms that others read; no patient comes near this room."""
