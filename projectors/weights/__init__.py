"""The read model of what cycles resulted in: standings, scores and weights."""
