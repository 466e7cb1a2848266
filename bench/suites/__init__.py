"""What to run: the settings of a run, and suite files that list runs."""
