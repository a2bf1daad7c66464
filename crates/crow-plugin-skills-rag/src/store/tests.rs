//! What every index must do, wherever it is.

use super::{Change, Known, Piece, Stamp, Store};
use crate::chunk::Chunk;

fn put(path: &str, texts: &[&str]) -> Change {
    let chunk = |(line, text): (u32, &&str)| Chunk {
        first: line,
        last: line,
        heading: "Guide".into(),
        text: (*text).to_owned(),
    };
    let known = Known { stamp: Stamp { modified: 1, size: texts.len() as i64 }, digest: texts.join("|") };
    Change::Put { path: path.into(), known, chunks: (1..).zip(texts).map(chunk).collect() }
}

fn roots(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn terms(words: &str) -> Vec<String> {
    words.split(' ').map(str::to_owned).collect()
}

fn ids(store: &mut dyn Store, root: &str) -> Vec<(i64, String)> {
    store.without_vector(&roots(&[root]), 0, 100).unwrap()
}

/// Puts an empty index through everything.
pub(crate) fn every_index(store: &mut dyn Store) {
    words(store);
    vectors(store);
    changes(store);
}

fn words(store: &mut dyn Store) {
    let texts =
        ["rockets need oxygen and fuel", "bread needs yeast", "rockets fly", "parseConfig reads it", "安装 Crow"];
    store.change("a", &[put("/a/x.md", &texts)]).unwrap();
    store.change("b", &[put("/b/y.md", &["rockets need oxygen and fuel elsewhere"])]).unwrap();
    let mut find = |names: &[&str], words: &str| -> Vec<(String, f64)> {
        let found = store.by_words(&roots(names), &terms(words), 10).unwrap();
        let pieces = store.pieces(&found.iter().map(|found| found.id).collect::<Vec<_>>()).unwrap();
        let text = |id| pieces.iter().find(|piece| piece.id == id).unwrap().chunk.text.clone();
        found.iter().map(|found| (text(found.id), found.score)).collect()
    };
    let both = find(&["a"], "rocket oxygen");
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(both[0].0, "rockets need oxygen and fuel");
    assert!(both[0].1 > 0.99 && both[1].1 < 0.6, "{both:?}");
    assert_eq!(find(&["a", "b"], "oxygen").len(), 2);
    assert_eq!(find(&["b"], "oxygen")[0].0, "rockets need oxygen and fuel elsewhere");
    assert!(find(&["c"], "oxygen").is_empty());
    assert!(find(&["a"], "nothing").is_empty());
    assert!(find(&["a"], "").is_empty());
    let half = find(&["a"], "yeast nothing");
    assert!(half.len() == 1 && half[0].1 < 0.7, "{half:?}");
    assert_eq!(find(&["a"], "config").len(), 1);
    assert_eq!(find(&["a"], "装").len(), 1);
    assert_eq!(find(&["a"], "x").len(), 5, "the name of the file is a word of its headings");
    for odd in ["\"", "*", "a\"b", "NEAR(", "'", "\\", "&", "!x", "col:x"] {
        find(&["a"], odd);
    }
}

fn vectors(store: &mut dyn Store) {
    assert!(!store.has_vectors().unwrap());
    assert_eq!(store.embedder().unwrap(), None);
    let pieces = ids(store, "a");
    assert_eq!(pieces.len(), 5);
    assert_eq!(pieces[0].1, "Guide\nrockets need oxygen and fuel");
    assert_eq!(store.without_vector(&roots(&["a"]), pieces[1].0, 2).unwrap(), pieces[2..4]);
    store.set_embedder(&[0.5, -2.0, 0.0]).unwrap();
    assert_eq!(store.embedder().unwrap(), Some(vec![0.5, -2.0, 0.0]));
    let vector = |n: usize| vec![1.0 - n as f32 * 0.25, n as f32 * 0.25, 0.0];
    let all: Vec<(i64, Vec<f32>)> = pieces.iter().zip(0..).map(|((id, _), n)| (*id, vector(n))).collect();
    store.add_vectors(&all[..4]).unwrap();
    store.add_vectors(&[(-7, vec![1.0, 0.0, 0.0])]).unwrap();
    store.add_vectors(&[(all[4].0, vec![0.0, 0.0, 0.0])]).unwrap();
    assert!(store.has_vectors().unwrap());
    assert!(ids(store, "a").is_empty());
    let found = store.by_meaning(&roots(&["a"]), &[2.0, 0.0, 0.0], 3).unwrap();
    let order: Vec<i64> = found.iter().map(|found| found.id).collect();
    assert_eq!(order, [all[0].0, all[1].0, all[2].0]);
    assert!((found[0].score - 1.0).abs() < 0.02 && (found[2].score - f64::sqrt(0.5)).abs() < 0.02, "{found:?}");
    assert!(store.by_meaning(&roots(&["b"]), &[1.0, 0.0, 0.0], 3).unwrap().is_empty());
    assert!(store.by_meaning(&roots(&["a"]), &[1.0, 0.0], 3).unwrap().is_empty(), "of another embedder");
    assert!(store.by_meaning(&roots(&["a"]), &[0.0, 0.0, 0.0], 3).unwrap().is_empty());
}

fn changes(store: &mut dyn Store) {
    let kept = "bread needs yeast";
    store.change("a", &[put("/a/x.md", &[kept, "cake needs sugar"]), put("/a/z.md", &["tea"])]).unwrap();
    let without: Vec<String> = ids(store, "a").into_iter().map(|(_, text)| text).collect();
    assert_eq!(without, ["Guide\ncake needs sugar", "Guide\ntea"], "what was there before keeps its vector");
    assert!(store.by_words(&roots(&["a"]), &terms("oxygen"), 9).unwrap().is_empty());

    let stamp = Stamp { modified: 9, size: 9 };
    store.change("a", &[Change::Touch { path: "/a/x.md".into(), stamp }]).unwrap();
    let files = store.files("a").unwrap();
    assert_eq!(files["/a/x.md"], Known { stamp, digest: format!("{kept}|cake needs sugar") });
    assert_eq!(files.len(), 2);

    let gone = ids(store, "a")[1].0;
    store.change("a", &[Change::Remove { path: "/a/z.md".into() }]).unwrap();
    assert_eq!(store.pieces(&[gone]).unwrap(), [] as [Piece; 0]);
    assert_eq!(store.files("a").unwrap().len(), 1);
    assert_eq!(store.files("b").unwrap().len(), 1);
    store.set_embedder(&[1.0]).unwrap();
    assert!(!store.has_vectors().unwrap());
}
