//! How the model's stream reaches the editor.

use std::time::Duration;

use crow_tests::Reply;
use serde_json::json;

use crate::stage::Stage;

#[test]
fn text_arrives_in_order_and_whole() {
    let stage = Stage::new([Reply::stream().texts(["Hel", "lo, ", "world", "\n\n", "  indented "])]);
    let turn = stage.prompt("greet");
    assert_eq!(turn.text(), "Hello, world\n\n  indented ");
    assert_eq!(turn.stop_reason(), "end_turn");
}

#[test]
fn a_delta_is_shown_before_the_next_one_comes() {
    let stage = Stage::new([Reply::stream().text("first").hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    // Nothing follows this delta, so whoever waited to fill a batch would wait forever.
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "first");
    stage.client.cancel(&stage.session);
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "cancelled");
}

#[test]
fn slow_deltas_are_not_joined() {
    let words: Vec<String> = (0..10).map(|number| format!("{number} ")).collect();
    let stage = Stage::new([Reply::stream().gap(Duration::from_millis(50)).texts(&words)]);
    let turn = stage.prompt("count");
    assert_eq!(turn.text(), words.concat());
    assert_eq!(turn.of_kind("agent_message_chunk").len(), words.len());
}

#[test]
fn fast_deltas_arrive_whole() {
    let words: Vec<String> = (0..2000).map(|number| format!("{number} ")).collect();
    let stage = Stage::new([Reply::stream().texts(&words)]);
    assert_eq!(stage.prompt("count").text(), words.concat());
}

#[test]
fn thoughts_are_not_text() {
    for reply in [
        Reply::stream().thought("Let me ").thought("think.").text("Done."),
        Reply::stream().thought_as_reasoning("Let me ").thought_as_reasoning("think.").text("Done."),
    ] {
        let stage = Stage::new([reply]);
        let turn = stage.prompt("think");
        assert_eq!((turn.thoughts().as_str(), turn.text().as_str()), ("Let me think.", "Done."));
    }
}

#[test]
fn characters_split_across_packets_arrive_whole() {
    let text = "Grüße, 世界, שלום, 🦀👩‍👩‍👧 — ok";
    let stage = Stage::new([Reply::stream().text_byte_by_byte(text)]);
    assert_eq!(stage.prompt("greet").text(), text);
}

#[test]
fn comments_and_empty_lines_are_ignored() {
    let reply = Reply::stream().comment("keep-alive").text("a").comment("OPENROUTER PROCESSING").raw(b"\n\n").text("b");
    let stage = Stage::new([reply]);
    assert_eq!(stage.prompt("go").text(), "ab");
}

#[test]
fn events_with_crlf_and_without_a_space_are_understood() {
    let reply = Reply::stream()
        .raw(b"data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\r\n\r\n")
        .raw(b"event: message\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n");
    let stage = Stage::new([reply]);
    assert_eq!(stage.prompt("go").text(), "ab");
}

#[test]
fn one_message_has_one_id_and_the_next_another() {
    let stage = Stage::new([
        Reply::stream().text("I ").text("look.").tool_call("call_1", "list", &json!({})),
        Reply::stream().text("It is ").text("empty."),
    ]);
    let turn = stage.prompt("look");
    let ids: Vec<_> = turn.of_kind("agent_message_chunk").iter().map(|update| update["messageId"].clone()).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    assert!(ids[0].is_string(), "{ids:?}");
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert_ne!(ids[1], ids[2]);
}

#[test]
fn usage_is_told_after_every_response_and_is_the_context_now_in_use() {
    let stage =
        Stage::new([Reply::call("call_1", "list", &json!({})).usage(1000, 20), Reply::say("done").usage(1100, 30)]);
    let turn = stage.prompt("look");
    let used: Vec<u64> = turn.of_kind("usage_update").iter().filter_map(|update| update["used"].as_u64()).collect();
    // Not the running total of 2150.
    assert_eq!(used.first(), Some(&1020), "{used:?}");
    assert_eq!(used.last(), Some(&1130), "{used:?}");
}

#[test]
fn a_response_without_usage_is_fine() {
    let stage = Stage::new([Reply::stream().text("ok").no_usage()]);
    assert_eq!(stage.prompt("go").text(), "ok");
}

#[test]
fn finish_reasons_become_stop_reasons() {
    for (reason, expected) in [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")] {
        let stage = Stage::new([Reply::stream().text("so far").finish(reason)]);
        let turn = stage.prompt("go");
        assert_eq!(turn.stop_reason(), expected, "for the finish reason `{reason}`");
        assert_eq!(turn.text(), "so far");
    }
}

#[test]
fn a_response_of_thoughts_only_does_not_loop() {
    let stage = Stage::new([]);
    stage.server.otherwise(Reply::stream().thought("Hm."));
    let turn = stage.prompt("think");
    assert!(turn.thoughts().starts_with("Hm."));
    let asked = stage.server.requests().len();
    assert!(asked <= 8, "the model was asked {asked} times");
}

#[test]
fn sessions_stream_side_by_side() {
    let stage = Stage::new([]);
    let names = ["#alpha", "#beta", "#gamma", "#delta"];
    let open: Vec<String> = names.iter().map(|_| stage.client.new_session(&stage.sandbox)).collect();
    for name in names {
        let words: Vec<String> = (0..20).map(|number| format!("{name}{number} ")).collect();
        stage.server.when(name, Reply::stream().gap(Duration::from_millis(5)).texts(words));
    }
    let pending: Vec<_> =
        open.iter().zip(names).map(|(session, name)| stage.client.start_prompt(session, name)).collect();
    for ((session, name), pending) in open.iter().zip(names).zip(&pending) {
        let text = stage.client.turn(session, pending).text();
        let expected: Vec<String> = (0..20).map(|number| format!("{name}{number} ")).collect();
        assert_eq!(text, expected.concat());
    }
}

#[test]
fn a_session_gets_a_title() {
    let stage = Stage::new([Reply::say("ok")]);
    stage.prompt("Rename the function parse_config everywhere");
    stage.client.settle();
    let updates = stage.client.updates(&stage.session);
    let titles: Vec<_> = updates.iter().filter(|update| update["sessionUpdate"] == "session_info_update").collect();
    let title = titles.last().and_then(|update| update["title"].as_str()).unwrap_or_default();
    assert!(!title.is_empty(), "no title in {titles:?}");
    assert_eq!(stage.server.requests().len(), 1, "a second request nobody sees");
}
