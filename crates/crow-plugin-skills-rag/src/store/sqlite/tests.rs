use super::*;
use crate::store::tests::every_index;

#[test]
fn it_is_an_index() {
    let directory = tempfile::tempdir().unwrap();
    every_index(&mut Sqlite::open(&directory.path().join("skills.db")).unwrap());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("home/skills.db");
    let mut store = Sqlite::open(&path).unwrap();
    store.set_embedder(&[1.0]).unwrap();
    for file in fs::read_dir(directory.path().join("home")).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[test]
fn what_is_damaged_or_of_another_version_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("skills.db");
    fs::write(&path, "this is no database, whatever it may be called by those who made it".repeat(100)).unwrap();
    every_index(&mut Sqlite::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(other);
    let mut store = Sqlite::open(&path).unwrap();
    assert!(store.files("a").unwrap().is_empty());
    every_index(&mut store);
}

#[test]
fn two_may_use_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("skills.db");
    let fill = |root: &'static str| {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut store = Sqlite::open(&path).unwrap();
            for number in 0..50 {
                let chunk = Chunk { first: 1, last: 1, heading: String::new(), text: format!("word{number}") };
                let known = Known { stamp: Stamp { modified: 1, size: 1 }, digest: String::new() };
                store.change(root, &[Change::Put { path: format!("/{number}"), known, chunks: vec![chunk] }]).unwrap();
            }
        })
    };
    let threads = [fill("a"), fill("b")];
    for thread in threads {
        thread.join().unwrap();
    }
    let mut store = Sqlite::open(&path).unwrap();
    assert_eq!((store.files("a").unwrap().len(), store.files("b").unwrap().len()), (50, 50));
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(&directory.path().join("skills.db")).unwrap();
    let chunk = Chunk { first: 1, last: 1, heading: String::new(), text: "old".into() };
    let known = Known { stamp: Stamp { modified: 1, size: 1 }, digest: String::new() };
    store.change("old", &[Change::Put { path: "/old".into(), known, chunks: vec![chunk] }]).unwrap();
    store.connection.execute("UPDATE roots SET used = 1", []).unwrap();
    store.change("new", &[]).unwrap();
    assert!(store.files("old").unwrap().is_empty());
    assert!(store.without_vector(&["old".into()], 0, 9).unwrap().is_empty());
    assert!(store.having("old", 9).unwrap().unwrap().is_empty());
}
