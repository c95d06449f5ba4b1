"""What the control environments exchange with a policy. Loads no simulator."""

from __future__ import annotations

from sim.spec import INFINITY, Channel

JOINT_TORQUE = Channel("joint_torque", 2, -1.0, 1.0, "1")
"""Of the reacher's shoulder and elbow; 1 is 0.1 and 0.05 N m."""

CART_FORCE = Channel("cart_force", 1, -1.0, 1.0, "1")
"""Along the cart's rail; 1 is 10 N."""

REACHER_PROPRIO = (
    Channel("joint_pos", 2, -INFINITY, INFINITY, "rad"),
    Channel("joint_vel", 2, -INFINITY, INFINITY, "rad/s"),
)
"""Of shoulder and elbow. The shoulder turns without end, and its turns count."""

CART_POLE_PROPRIO = (
    Channel("base_pos", 1, -INFINITY, INFINITY, "m"),
    Channel("base_vel", 1, -INFINITY, INFINITY, "m/s"),
    Channel("joint_pos", 1, -INFINITY, INFINITY, "rad"),
    Channel("joint_vel", 1, -INFINITY, INFINITY, "rad/s"),
)
"""Of the cart, from the middle of the rail, and of the pole, which is upright at 0."""
