"""Ex-post densities, fitted to latent codes after training."""
