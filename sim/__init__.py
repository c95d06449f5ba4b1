"""Deterministic simulation of robot tasks, and the policies that are evaluated in it.

Knows no database and no log; of ours it imports only the words that it shares with plans: `events.ids` and
`events.variation`. Start reading at `episode.py`.
"""
