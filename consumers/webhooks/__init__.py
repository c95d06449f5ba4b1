"""Tells other people's servers what has happened, as Standard Webhooks: signed, and until they have it."""
