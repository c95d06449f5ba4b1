"""Deterministic simulation of robot tasks, and the policies that are evaluated in it.

Knows no database and no log; imports nothing of ours but `events.ids`. Start reading at `episode.py`.
"""
