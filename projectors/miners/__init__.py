"""The read model of miners."""
