"""Benchmarks: official annotation files, joined with region features, as examples for a model."""
