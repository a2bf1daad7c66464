//! `fetch`, from servers of the test's own.

use std::net::SocketAddr;

use crow_acp::{Access, StopReason};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::Fixture;

/// A server that answers each path as `answer` says; `{self}` in it is its own address. `None`: it says nothing for ever.
async fn server(answer: fn(&str) -> Option<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let size = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..size]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                match answer(path) {
                    Some(answer) => {
                        let answer = answer.replace("{self}", &address.to_string());
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

fn page(kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(target: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn site(path: &str) -> Option<String> {
    let not_found =
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 7\r\nConnection: close\r\n\r\nnothing";
    let html = "<html><head><title>T</title></head><body><p>Hello <b>you</b></p><script>x</script></body></html>";
    Some(match path {
        "/page" => page("text/html; charset=utf-8", html),
        "/json" => page("application/json", "{\"a\": 1}"),
        "/image" => page("image/png", "PNG"),
        "/long" => page("text/plain", &"0123456789\n".repeat(1000)),
        "/moved" => redirect("/json"),
        "/away" => redirect("http://127.0.0.2:9/x"),
        "/file" => redirect("file:///etc/passwd"),
        "/circle" => redirect("/circle"),
        "/nowhere" => "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
        "/cut" => "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nbegun".into(),
        "/never" => return None,
        _ => not_found.into(),
    })
}

#[tokio::test]
async fn pages_come_as_text() {
    let (fixture, server) = (Fixture::new().await, server(site).await);
    let url = |path: &str| json!({"url": format!("http://{server}{path}")});
    assert_eq!(fixture.ok("fetch", url("/page#part")).await, "# T\n\nHello you");
    assert_eq!(fixture.preview().access, [Access::Network { url: format!("http://{server}/page") }]);
    assert_eq!(fixture.preview().title, format!("Fetch http://{server}/page"));
    assert_eq!(fixture.ok("fetch", url("/json")).await, "{\"a\": 1}");
    let moved = fixture.ok("fetch", url("/moved")).await;
    assert_eq!(moved, format!("{{\"a\": 1}}\n[redirected to http://{server}/json]"));
    let error = fixture.err("fetch", url("/none")).await;
    assert_eq!(error, "nothing\n[the server answered 404 Not Found]");
    assert!(fixture.err("fetch", url("/image")).await.contains("is not text but image/png"));
}

#[tokio::test]
async fn redirects_do_not_lead_where_nobody_was_asked_about() {
    let (fixture, server) = (Fixture::new().await, server(site).await);
    let url = |path: &str| json!({"url": format!("http://{server}{path}")});
    let away = fixture.ok("fetch", url("/away")).await;
    assert!(away.ends_with("redirects to another site: fetch http://127.0.0.2:9/x if that is what you need"), "{away}");
    assert!(fixture.ok("fetch", url("/file")).await.contains("redirects to another site"));
    assert!(fixture.err("fetch", url("/circle")).await.contains("in a circle"));
    assert!(fixture.err("fetch", url("/nowhere")).await.contains("redirects to nowhere"));
}

#[tokio::test]
async fn pages_have_limits() {
    let fixture = Fixture::configured("fetch_max_bytes = 5000\noutput_limit = 1000\nfetch_timeout_seconds = 1").await;
    let server = server(site).await;
    let url = |path: &str| json!({"url": format!("http://{server}{path}")});
    let long = fixture.ok("fetch", url("/long")).await;
    assert!(long.contains("[only the first 5000 bytes of the page were read]"), "{long}");
    assert!(long.contains("of 5000 bytes") && long.len() < 1500, "{long}");
    assert!(fixture.err("fetch", url("/never")).await.contains("did not come within 1 s"));
    assert!(fixture.err("fetch", url("/cut")).await.contains("cannot be fetched"));
}

#[tokio::test]
async fn addresses_that_are_none_are_refused() {
    let fixture = Fixture::new().await;
    for (url, says) in [
        ("file:///etc/passwd", "only http and https"),
        ("not an address", "cannot be fetched"),
        ("http://", "cannot be fetched"),
        ("http://127.0.0.1:1/", "onnect"),
    ] {
        let error = fixture.err("fetch", json!({"url": url})).await;
        assert!(error.contains(says), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_page_that_does_not_come_can_be_cancelled() {
    let (fixture, server) = (Fixture::new().await, server(site).await);
    let run = fixture.start("fetch", json!({"url": format!("http://{server}/never")}));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    fixture.session.cancel();
    assert_eq!(run.await.unwrap().stop_reason, StopReason::Cancelled);
}
