//! What only the store on a server has.

use crow_acp::{Message, Secrets, SessionQuery};
use crow_plugin_persistence::{Options, Server, Store, StoreError};
use crow_tests::Postgres;

use crate::common::{Place, answer, server, summary, tool, user};

fn store(url: &str) -> Store {
    let server: Server = url.parse().unwrap();
    Store::start(server.into(), Options::default(), Secrets::default()).unwrap()
}

/// Cuts everybody off, as a network would.
fn cut_off(url: &str) {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server().unwrap().query(url, cut);
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_loses_nothing() {
    let Some(mut postgres) = Postgres::start() else { return };
    let store = store(&postgres.url());
    store.resume_session(summary("s")).await.unwrap();
    store.commit("s", user(1, "one")).await.unwrap();

    postgres.stop();
    let error = store.commit("s", user(2, "two")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("postgresql://") && !error.to_string().contains(postgres.password()), "{error}");
    // What is said meanwhile is kept.
    store.append("s", answer(3, Message::assistant("three")));
    assert!(store.flush().await.is_err());

    postgres.resume();
    store.commit("s", user(4, "four")).await.unwrap();
    let record = store.load("s").await.unwrap().unwrap();
    assert_eq!(record.events.len(), 4);
    assert_eq!(record.events[2..], [answer(3, Message::assistant("three")), user(4, "four")]);
    // The lease was taken again, too.
    let other: Server = postgres.url().parse().unwrap();
    let other = Store::start(other.into(), Options::default(), Secrets::default()).unwrap();
    assert!(matches!(other.load("s").await, Err(StoreError::InUse { .. })));
    crate::common::check_server(&postgres, &postgres.url());
}

#[tokio::test]
async fn a_connection_that_broke_while_nobody_looked_is_made_again() {
    let Some(place) = Place::server() else { return };
    let store = place.store();
    store.resume_session(summary("s")).await.unwrap();
    store.commit("s", user(1, "one")).await.unwrap();
    for seq in 2..5 {
        cut_off(place.url());
        store.commit("s", user(seq, "again")).await.unwrap();
    }
    cut_off(place.url());
    store.append("s", answer(5, Message::assistant("5")));
    store.append("s", user(6, "6"));
    store.flush().await.unwrap();
    assert_eq!(place.events(), 6);
    place.check_invariants();
}

#[tokio::test]
async fn who_lost_a_session_to_another_may_not_write() {
    let Some(place) = Place::server() else { return };
    let (first, second) = (place.store(), place.store());
    first.resume_session(summary("s")).await.unwrap();
    first.resume_session(summary("t")).await.unwrap();
    first.commit("s", user(1, "one")).await.unwrap();
    cut_off(place.url());
    // The first has not noticed yet.
    assert!(second.load("s").await.unwrap().is_some());
    second.commit("s", user(2, "from the second")).await.unwrap();
    let error = first.commit("s", user(2, "from the first")).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Taken { .. }), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    first.append("s", user(3, "from the first"));
    assert!(matches!(first.flush().await, Err(StoreError::Taken { .. })));
    // Its other session is still its own.
    first.commit("t", user(1, "t")).await.unwrap();
    second.end_session("s");
    second.flush().await.unwrap();
    let record = first.load("s").await.unwrap().unwrap();
    assert_eq!(record.events, [user(1, "one"), user(2, "from the second")]);
    first.commit("s", user(3, "mine again")).await.unwrap();
    place.check_invariants();
}

#[tokio::test]
async fn a_later_store_and_somebody_elses_are_refused_with_a_sentence() {
    let Some(place) = Place::server() else { return };
    place.store().list(SessionQuery::newest(1)).await.unwrap();
    let first = place.store();
    first.resume_session(summary("s")).await.unwrap();
    first.close().await.unwrap();
    place.text("INSERT INTO schema_version VALUES (99, ''); SELECT 1");
    let expected = "was written by a newer Crow (schema 99; this one knows 1). Update Crow, or set \
                    plugins.persistence.url to another database";
    let store = place.store();
    store.start_session(summary("t"));
    for error in [
        store.commit("t", user(1, "x")).await.unwrap_err(),
        store.list(SessionQuery::newest(1)).await.unwrap_err(),
        store.load("s").await.unwrap_err(),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    place.text("DROP TABLE schema_version; SELECT 1");
    let error = place.store().list(SessionQuery::newest(1)).await.unwrap_err();
    assert!(error.to_string().contains("is a database of some other program"), "{error}");
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_so_without_the_password() {
    let Some(postgres) = server() else { return };
    for (url, expected) in [
        (postgres.url().replace(postgres.password(), "planted-wrong-one"), "password authentication failed"),
        (format!("{}/nowhere", postgres.url().rsplit_once('/').unwrap().0), "database \"nowhere\" does not exist"),
        ("postgresql://crow:planted-wrong-one@127.0.0.1:1/crow".into(), "Connection refused"),
    ] {
        let store = store(&url);
        store.start_session(summary("s"));
        let error = store.commit("s", user(1, "x")).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Unreachable { .. }) && text.contains(expected), "{text}");
        assert!(!text.contains("planted") && text.contains("cannot be reached"), "{text}");
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_so() {
    let Some(place) = Place::server() else { return };
    place.text("CREATE ROLE guest LOGIN PASSWORD 'guest-password'; SELECT 1");
    let (_, host) = place.url().split_once('@').unwrap();
    let store = store(&format!("postgresql://guest:guest-password@{host}"));
    store.start_session(summary("s"));
    let error = store.commit("s", user(1, "x")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoAccess { .. }), "{error}");
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[tokio::test]
async fn secrets_never_reach_the_server() {
    let Some(place) = Place::server() else { return };
    let secrets = Secrets::default();
    secrets.add("sk-planted-\"quoted\"-key");
    let store = Store::start(place.location(), Options::default(), secrets).unwrap();
    store.start_session(summary("s"));
    store.commit("s", user(1, "my key is sk-planted-\"quoted\"-key, keep it")).await.unwrap();
    store.append("s", tool(2, "c", "OPENAI_API_KEY=sk-planted-\"quoted\"-key"));
    store.close().await.unwrap();
    for table in ["sessions", "events", "messages"] {
        let rows = place.text(&format!("SELECT coalesce(string_agg(t::text, ''), '') FROM {table} t"));
        assert!(!rows.contains("planted"), "{table}: {rows}");
    }
    assert!(place.text("SELECT data FROM events WHERE seq = 1").contains("my key is ***, keep it"));
}

#[tokio::test]
async fn a_connection_is_encrypted_and_the_server_has_to_prove_who_it_is() {
    let Some(postgres) = Postgres::start_with_tls() else { return };
    let certificate = postgres.certificate().display().to_string().replace('/', "%2F");
    let with = |host: &str, query: &str| format!("{}?{query}", postgres.tls_url(host));
    let trusted = format!("sslmode=verify-full&sslrootcert={certificate}");
    for url in [
        with("127.0.0.1", "sslmode=prefer"),
        with("127.0.0.1", "sslmode=require"),
        postgres.tls_url("localhost"),
        with("localhost", &trusted),
        with("localhost", &format!("sslrootcert={certificate}")),
    ] {
        let store = store(&url);
        store.resume_session(summary(&url)).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        store.commit(&url, user(1, "x")).await.unwrap();
        store.close().await.unwrap();
    }
    assert_eq!(postgres.query(&postgres.url(), "SELECT count(*) FROM crow.events"), "5");
    for (url, expected) in [
        (with("127.0.0.1", "sslmode=disable"), "no encryption"),
        (with("localhost", "sslmode=verify-full"), "certificate"),
        (with("127.0.0.1", &trusted), "not valid for name"),
        (with("localhost", "sslrootcert=%2Fnot%2Fthere.pem"), "/not/there.pem"),
    ] {
        let error = store(&url).list(SessionQuery::newest(1)).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains(postgres.password()), "{url}: {error}");
    }
}
