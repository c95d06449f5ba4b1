"""Deterministic simulation of robot tasks, and the policies that are evaluated in it.

Knows no database and no log; imports of ours only the words that it shares with plans: `events.ids`, `events.variation`. Start reading at `episode.py`.
"""
