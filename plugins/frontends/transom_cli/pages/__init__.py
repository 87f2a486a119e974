"""Reports as pages for a browser: each one a single file that needs nothing else."""
