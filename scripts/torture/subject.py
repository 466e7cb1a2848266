"""What is tortured: a small suite of two objectives."""

SUITE = """
title = "Torture"
[training]
steps = 60
batch_size = 20
train_images = 200
validate_every = 10
[evaluation]
metrics = ["reconstruction", "frechet"]
features = ["pixels"]
densities = ["gaussian", "gmm-10"]
images = 100
sheet_images = 4
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 3
objective = ["ae", "vae"]
"""
