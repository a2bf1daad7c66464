"""The plugin: a plain method with type hints is a tool of the model's."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, Literal
from urllib.parse import quote
from urllib.request import urlopen

from crow_acp import Tool, hookimpl, tool

#: Where the weather comes from, unless `CROW_WEATHER_URL` says otherwise.
SERVICE = "https://wttr.in"


class Weather:
    """Offers the tool `weather`."""

    def __init__(self, service: str | None = None) -> None:
        self.service = service or os.environ.get("CROW_WEATHER_URL", SERVICE)

    @hookimpl
    def register_tools(self) -> list[Tool]:
        """The tools of this plugin. It asks a server elsewhere, so the user is asked before it runs."""
        return [tool(self.weather, kind="fetch")]

    async def weather(self, city: str, units: Literal["metric", "imperial"] = "metric") -> str:
        """Tells the weather of a city now.

        Args:
            city: The city, as people call it: `Oslo`.
            units: Degrees Celsius or Fahrenheit.
        """
        url = f"{self.service}/{quote(city)}?format=j1"
        # Waiting for a server must not hold up the other plugins.
        now = (await asyncio.to_thread(_fetch, url))["current_condition"][0]
        degrees = f"{now['temp_C']} °C" if units == "metric" else f"{now['temp_F']} °F"
        return f"{city}: {now['weatherDesc'][0]['value']}, {degrees}, humidity {now['humidity']} %"


def _fetch(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)
