"""One file a topic: what its answers look like, and which queries they come from."""
