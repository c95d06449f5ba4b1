"""Named examples of everything in the language. Parameters vary what a test is about."""
