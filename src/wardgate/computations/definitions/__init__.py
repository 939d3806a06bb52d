"""Do hospitals mean the same by the same name? What each tells of its data, and which of them stands out."""
