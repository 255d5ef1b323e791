"""Images that are layers with data beside them, and containers."""
