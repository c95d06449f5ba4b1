"""What is running now, in a terminal."""
