"""The read model of time: how far the log had come at a moment."""
