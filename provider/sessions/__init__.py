"""Serving consumers: what is asked, covered, carried, metered and receipted, and where a stream may go."""
