"""The networks that all objectives of a comparison share."""
