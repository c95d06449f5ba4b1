"""The shared language and the log. Imports none of our other packages."""
