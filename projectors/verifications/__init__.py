"""The read model of spot checks, and of the copies that the events of a cycle show."""
