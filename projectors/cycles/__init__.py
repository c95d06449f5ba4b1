"""The read model of evaluation cycles."""
