"""Speed and memory of this package against its peers: `python -m benchmarks`, or `make bench`."""
