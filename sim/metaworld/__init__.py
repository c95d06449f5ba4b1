"""MetaWorld's manipulation tasks behind the `Environment` protocol."""
