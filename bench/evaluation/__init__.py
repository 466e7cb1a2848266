"""From a trained model to result rows."""
