"""Where examples come from: raw formats, Parquet shards, captions, local and streamed training data, scenes."""
