"""The any-order autoregressive network for tables of one row a person."""
