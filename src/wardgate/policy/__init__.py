"""Evidence x rules -> verdict; run by the hospital, then again by whoever receives."""
