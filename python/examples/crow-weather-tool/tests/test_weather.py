"""The tool in the real agent, with a weather service of the test's own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from crow_acp.testing import Workspace, call, say, texts


@pytest.fixture
def service() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/S%C3%A3o%20Paulo?format=j1"
            self.send_response(200 if known else 404)
            self.end_headers()
            weather = {"temp_C": "21", "temp_F": "70", "humidity": "80", "weatherDesc": [{"value": "Light rain"}]}
            self.wfile.write(json.dumps({"current_condition": [weather]}).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_model_learns_the_weather(tmp_path: Path, service: str) -> None:
    with Workspace(tmp_path) as place:
        place.model.push(call("weather", city="São Paulo", units="imperial"), say("It rains."))
        crow = place.start(CROW_WEATHER_URL=service)
        assert crow.prompt(crow.new_session(), "What is it like in São Paulo?") == "end_turn"
        first, second = place.model.requests
        assert texts(second, "tool") == ["São Paulo: Light rain, 70 °F, humidity 80 %"]

        (offered,) = [each["function"] for each in first["tools"] if each["function"]["name"] == "weather"]
        assert offered["description"] == "Tells the weather of a city now."
        parameters = offered["parameters"]
        assert parameters["required"] == ["city"]
        assert parameters["properties"]["units"]["enum"] == ["metric", "imperial"]
        assert parameters["properties"]["city"]["description"].startswith("The city")


def test_a_failure_is_the_models_to_read(tmp_path: Path, service: str) -> None:
    with Workspace(tmp_path) as place:
        place.model.push(call("weather", city="Atlantis"), say("There is no such place."))
        crow = place.start(CROW_WEATHER_URL=service)
        assert crow.prompt(crow.new_session(), "What is it like in Atlantis?") == "end_turn"
        assert "404" in texts(place.model.requests[1], "tool")[0]


def test_nobody_is_asked_elsewhere_without_leave(tmp_path: Path, service: str) -> None:
    with Workspace(tmp_path) as place:
        place.model.push(call("weather", city="São Paulo"), say("As you wish."))
        crow = place.start(CROW_WEATHER_URL=service)
        crow.permission = "reject_once"
        crow.prompt(crow.new_session(), "What is it like in São Paulo?")
        assert "rain" not in texts(place.model.requests[1], "tool")[0]
