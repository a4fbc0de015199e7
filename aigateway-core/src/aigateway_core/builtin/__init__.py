"""The plugins that the core brings: auth strategies, provider kinds and stats sinks, offered through the same hooks."""
