"""What a plugin's own tests need: a model that says what the test tells it to, and a client that talks to the agent.

Nothing here leaves the machine, and no key is needed::

    from crow_acp.testing import Workspace, call, say

    def test_my_plugin(tmp_path):
        with Workspace(tmp_path) as place:
            place.model.push(call("weather", city="Oslo"), say("It rains."))
            crow = place.start()                  # `crow-acp acp`, with whatever is installed
            session = crow.new_session()
            assert crow.prompt(session, "What is it like in Oslo?") == "end_turn"
            assert "It rains." in crow.text()
"""

from crow_acp.testing._client import AcpClient, AcpError, environment, wait_for
from crow_acp.testing._model import ModelServer, Reply, call, say, texts
from crow_acp.testing._workspace import Workspace

__all__ = [
    "AcpClient",
    "AcpError",
    "ModelServer",
    "Reply",
    "Workspace",
    "call",
    "environment",
    "say",
    "texts",
    "wait_for",
]
