"""MAY SPEAK, MAY NOT SEE PATIENTS. Holds no signing key."""
