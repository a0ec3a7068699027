"""What things cost, as ratios against a bare baseline in the same run: `python -m benchmarks`."""
