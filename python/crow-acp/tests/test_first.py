"""The shortest way from an editor to a plugin in Python."""

from harness import ModelServer, Place, text


def test_an_installed_plugin_fires(place: Place, model: ModelServer) -> None:
    place.plugin(
        "hello",
        """
        class Plugin:
            @hookimpl
            async def before_run(self, agent, user_input):
                session = agent._sessions.get(agent._session_id)
                session.add_message("system", "Context: " + user_input)

            @hookimpl
            async def after_turn(self, agent, session, usage):
                log("turn", session.session_id == agent._session_id, usage["input_tokens"], len(session.messages))

            @hookimpl
            async def on_startup(self, agent):
                log("startup")

            @hookimpl
            async def on_shutdown(self, agent):
                log("shutdown")
        """,
    )
    model.reply(text("Hi ", "there."))
    editor = place.crow()
    assert editor.prompt("hello") == "Hi there."
    assert "Context: hello" in str(model.requests[0]["messages"])
    assert editor.hang_up() == 0
    assert place.logged() == ["startup", "turn True 10 3", "shutdown"]


def test_a_program_makes_its_own_agent(place: Place, model: ModelServer) -> None:
    editor = place.script(
        """
        import asyncio, threading
        from crow_acp import AcpAgent, hookimpl, run_agent
        from crow_acp.plugins import PersistenceHook, SystemPromptHook

        class Mine:
            @hookimpl
            async def after_turn(self, agent, session, usage):
                log(agent is agent_, threading.current_thread() is threading.main_thread())

        async def main():
            global agent_
            agent_ = AcpAgent()
            agent_._pm.register(PersistenceHook())
            agent_._pm.register(SystemPromptHook("You are a raven."))
            agent_._pm.register(Mine())
            await run_agent(agent_)
            log("over")

        asyncio.run(main())
        """
    )
    model.reply(text("Kraa."))
    assert editor.prompt("hello") == "Kraa."
    assert "You are a raven." in str(model.requests[0]["messages"])
    assert editor.hang_up() == 0
    assert place.logged() == ["True True", "over"]
