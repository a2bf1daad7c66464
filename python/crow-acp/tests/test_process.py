"""The end of a process: whichever way it comes, `on_shutdown` runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from acp_client import environment, wait_for
from conftest import PRELUDE, Place
from model_server import ModelServer, say

PLUGIN = """
class Plugin:
    @hookimpl
    async def on_startup(self, agent):
        log("up")

    @hookimpl
    async def on_shutdown(self, agent):
        await asyncio.sleep(0.05)
        log("down")
"""

PROGRAM = (
    PRELUDE
    + PLUGIN
    + """
async def main():
    agent = AcpAgent()
    agent._pm.register(Plugin())
    await run_agent(agent)
    log("returned")

asyncio.run(main())
"""
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command(place: Place, number: int) -> None:
    place.plugin("lives", PLUGIN)
    client = place.crow()
    client.new_session()
    client.process.send_signal(number)
    assert client.process.wait(20) == 0
    assert place.lines() == ["up", "down"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_program(place: Place, number: int) -> None:
    client = place.run(PROGRAM, **place.variables())
    client.new_session()
    client.process.send_signal(number)
    status = client.process.wait(20)
    assert place.lines()[:2] == ["up", "down"]
    if number == signal.SIGTERM:
        assert status == 0
        assert place.lines()[2:] == ["returned"]


def test_the_end_of_input_ends_a_program(place: Place) -> None:
    client = place.run(PROGRAM, **place.variables())
    client.new_session()
    assert client.close() == 0
    assert place.lines() == ["up", "down", "returned"]


def test_an_exception_elsewhere_ends_a_program(place: Place) -> None:
    program = PROGRAM.replace(
        "await run_agent(agent)",
        """
    async def fails():
        while not os.path.exists(os.environ["OUT"] + ".now"):
            await asyncio.sleep(0.01)
        raise RuntimeError("elsewhere")

    await asyncio.gather(run_agent(agent), fails())
""".strip(),
    )
    client = place.run(program, **place.variables())
    client.new_session()
    place.out.with_name("out.now").touch()
    assert client.process.wait(20) == 1
    assert place.lines() == ["up", "down"]
    wait_for(lambda: "RuntimeError: elsewhere" in "".join(client.errors))


def test_a_program_whose_own_loop_is_blocked(place: Place, model: ModelServer) -> None:
    program = PROGRAM.replace(
        "    @hookimpl\n    async def on_shutdown",
        "    @hookimpl(budget=1)\n    def before_run(self):\n        log('in')\n        import time; time.sleep(3600)\n\n"
        "    @hookimpl\n    async def on_shutdown",
    )
    model.otherwise = say("fine")
    client = place.run(program, **place.variables())
    session = client.new_session()
    client.start_prompt(session, "hello")
    wait_for(lambda: "in" in place.lines())
    client.wait_until(lambda: "suspended" in client.notices())
    began = time.monotonic()
    client.close(30)
    assert time.monotonic() - began < 15


def test_configure_and_settings(place: Place, model: ModelServer) -> None:
    model.push(say("one"))
    client = place.run(
        PRELUDE
        + """
class Plugin:
    @hookimpl
    def configure(self, config):
        log(config.model, config.home == os.environ["CROW_HOME"])
        config.set("plugins.mine.key", [1, "two"])

    @hookimpl
    async def before_run(self, agent):
        log(agent.plugin_config("mine"), agent.models, agent._pm.is_blocked("retry"))

async def main():
    agent = AcpAgent({"max_turns": 7, "plugins": {"disabled": ["retry"]}})
    try:
        await agent.hook.on_cancel(agent=agent)
    except RuntimeError as error:
        log(error)
    agent._pm.register(Plugin(), name="mine")
    await run_agent(agent)

asyncio.run(main())
""",
        **place.variables(),
    )
    client.prompt(client.new_session(), "hello")
    assert place.lines() == [
        "the agent does not run yet",
        "test/scripted True",
        "{'key': [1, 'two']} ['test/scripted'] True",
    ]


def test_without_plugins_there_is_no_asyncio(place: Place, model: ModelServer) -> None:
    """Python costs what it costs to start, and nothing more."""
    model.push(say("fine"))
    command = [sys.executable, "-X", "importtime", "-m", "crow_acp", "run", "hello"]
    variables = environment(place.root, **place.variables())
    done = subprocess.run(command, env=variables, cwd=place.project, capture_output=True, text=True, timeout=60)
    assert "fine" in done.stdout, done.stderr
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert "crow_acp._crow" in imported
    assert not {"asyncio", "inspect", "typing", "importlib.metadata"} & imported


def test_the_command_line_knows_the_plugins(place: Place, model: ModelServer) -> None:
    place.plugin("lives", PLUGIN)
    assert "lives" in place.command("plugins").stdout
    assert "lives" in place.command("hooks", "on_shutdown").stdout
    assert "lives" not in place.command("plugins", "-p", "no:lives").stdout
    assert "`typo`" in place.command("plugins", "-p", "no:typo").stdout
    model.push(say("fine"))
    assert "fine" in place.command("run", "hello").stdout
    assert place.lines() == ["up", "down"]
    model.push(say("fine"))
    place.command("-p", "no:lives", "run", "hello")
    assert place.lines() == ["up", "down"], "what is switched off is not called"
    assert place.command("nonsense", check=False).returncode == 2


def test_a_plugin_takes_the_place_of_a_built_in_one(place: Place, model: ModelServer) -> None:
    place.plugin(
        "system-prompt",
        """
        class Plugin:
            @hookimpl
            def system_prompt(self, sections):
                sections.append({"id": "role", "text": "You are a raven."})
        """,
    )
    model.push(say("Kraa."))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert model.requests[0]["messages"][0]["content"] == "You are a raven."


def test_plugins_may_have_hooks_of_their_own(place: Place, model: ModelServer) -> None:
    place.plugin(
        "a-host",
        """
        class Specs:
            @hookspec
            async def on_joke(self, agent, joke): ...

            @hookspec(firstresult=True)
            def rate(self, joke): ...

        class Plugin:
            def __init__(self):
                from crow_acp import _contracts
                _contracts.add(Specs)

            @hookimpl
            async def after_turn(self, agent, session):
                log(await agent.hook.on_joke(agent=agent, joke="why"), await agent.hook.rate(joke="why"))
        """,
    )
    place.plugin(
        "b-guest",
        """
        class Plugin:
            @hookimpl
            async def on_joke(self, joke):
                await asyncio.sleep(0)
                return joke.upper()

            @hookimpl(wrapper=True, specname="on_joke")
            def around(self, agent):
                result = yield
                return [*result, "!"]

            @hookimpl(tryfirst=True)
            def rate(self):
                return None

            @hookimpl(specname="rate")
            def rate_too(self, joke):
                return len(joke)
        """,
    )
    model.push(say("fine"))
    client = place.crow()
    client.prompt(client.new_session(), "hello")
    assert client.notices() == ""
    assert place.lines() == ["['WHY', '!'] 3"]


def test_an_agent_of_a_kind_of_its_own(place: Place, model: ModelServer) -> None:
    model.push(say("one"))
    client = place.run(
        PRELUDE
        + """
class Mine(AcpAgent):
    counted = 0

    def __init__(self, name, config=None):
        super().__init__(config, mode="plan")
        self.name = name

class Plugin:
    @hookimpl
    async def before_run(self, agent, session):
        agent.counted += 1
        log(agent.name, agent.counted, Mine.counted, type(agent).__name__, session.mode)
        for name in ("hook", "_sessions", "_pm"):
            try:
                setattr(agent, name, 1)
            except AttributeError as error:
                log(error)

async def main():
    try:
        AcpAgent("gpt")
    except TypeError as error:
        log(str(error).split(",")[0])
    agent = Mine("raven", {"max_turns": 3})
    agent._pm.register(Plugin())
    await run_agent(agent)

asyncio.run(main())
""",
        **place.variables(),
    )
    client.prompt(client.new_session(), "hello")
    assert place.lines() == [
        "config is a dict of what config.toml may say",
        "raven 1 0 Mine plan",
        "the agent's `hook` cannot be set",
        "the agent's `_sessions` cannot be set",
        "the agent's `_pm` cannot be set",
    ]
