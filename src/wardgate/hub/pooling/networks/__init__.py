"""Training networks over hospitals: who is asked, what the hub makes of the sums, and when it ends."""
