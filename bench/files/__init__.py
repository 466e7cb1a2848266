"""Files that are whole or absent, and arrays and tensors in them."""
