"""Deterministic simulation of robot tasks, and the policies that are evaluated in it.

Knows no database and no log; of ours it imports the words that it shares with plans (`events.ids` and
`events.variation`) and what every command has. Start reading at `episode.py`; `http/` is how it speaks to a policy,
`metaworld/` and `control/` are the tasks, `rendering/` draws what policies see.
"""
