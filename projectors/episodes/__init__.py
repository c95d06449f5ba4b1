"""The read model of single episodes."""
