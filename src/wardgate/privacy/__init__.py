"""Claims, what they cost, the noise that backs them, and the budget."""
