"""Weight-space learning alone: tokens, windows, autoencoder, sampling, checkpoints.

Imports torch and safetensors, and nothing from the rest of the package.
"""
