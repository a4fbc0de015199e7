"""Wire formats. Each module is one dialect, both directions; see :mod:`aigateway_core.dialects.dialect` for what that means."""
