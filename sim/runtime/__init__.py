"""Where workers, servers and roles run: as child processes of one supervisor."""
