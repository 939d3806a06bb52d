"""Models in which all columns are equals: k-way tables and a graph over them."""
