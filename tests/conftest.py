"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A machine may be slow, and a test says nothing about time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
