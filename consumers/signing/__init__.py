"""The backend vouches for how cycles ended and for their weights, with its key."""
