"""MEDS 0.4 in and out: a dataset opened as a source of events, and any source written as a dataset."""
