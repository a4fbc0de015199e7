"""Wire formats, each in both directions; :mod:`aigateway_core.dialects.dialect` says what that means."""
