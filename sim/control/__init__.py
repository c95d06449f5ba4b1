"""Continuous control on MuJoCo models of our own, without MetaWorld. Start reading at `environment.py`."""
