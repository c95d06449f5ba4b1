"""Policies behind HTTP endpoints: the client, hostile servers in mind, and a server for policies of our own."""
