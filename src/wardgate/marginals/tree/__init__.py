"""The forest under the outcome: every column hangs on the label and at most one other column."""
