"""What may be compared, what the seeds decide, and how it is written."""
