"""The live stream: one subscription to the log per process, any number of readers."""
