"""What is the same for all answers, whatever they are about: one topic a file."""
