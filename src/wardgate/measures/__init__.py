"""Pure maths on arrays: attacks, distances, fidelity, calibration, discrimination, intervals."""
