"""Is never ready."""

import time

time.sleep(3600)
