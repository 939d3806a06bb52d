"""The tabular GAN, plain and private."""
