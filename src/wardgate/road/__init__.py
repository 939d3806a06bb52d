"""How parcels travel between the hub and a hospital: stored, forwarded, resumed. Knows neither engine nor patient."""
