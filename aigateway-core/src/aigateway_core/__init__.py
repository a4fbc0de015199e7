"""aigateway: a self-hosted gateway in front of AI providers.

Plugins import :mod:`aigateway_core.plugin`, their tests :mod:`aigateway_core.testing`; nothing else here is public.
"""

__version__ = "0.1.0"
