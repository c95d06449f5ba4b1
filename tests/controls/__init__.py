"""Named examples of everything in the language, for all tests. Each function's parameters vary what a test is about."""
