"""Equal care: the same number of trials for each objective, judged on validation images."""
