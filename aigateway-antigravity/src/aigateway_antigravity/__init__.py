"""Antigravity (Google's Cloud Code Assist) as a provider of aigateway."""

from __future__ import annotations

__version__ = "0.1.0"
