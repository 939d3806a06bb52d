"""Rules that find the middle of some points although a few of them lie: arrays in, one vector out."""
