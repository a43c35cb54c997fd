"""Building networks, and facts about their structure."""

__all__: list[str] = []
