"""``/api/v1``: what an operator sees and changes, behind the admin key."""
