"""The weather, for the model."""

from crow_weather_tool.plugin import Weather

__all__ = ["Weather"]
