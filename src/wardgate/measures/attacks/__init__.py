"""What an attacker can learn of patients from what left: distances, scores and their nulls."""
