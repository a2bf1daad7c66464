use proptest::prelude::*;

use super::*;

/// What a run does to one of four files: writes a content, or removes it.
type Edit = (usize, Option<u8>);

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(world.directory.path().join("project")).unwrap();
        world
    }

    fn file(&self, number: usize) -> PathBuf {
        self.directory.path().join("project").join(number.to_string())
    }

    fn write(&self, (file, content): Edit) {
        let path = self.file(file);
        match content {
            Some(content) => fs::write(path, vec![content; 3]).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }

    fn contents(&self) -> Vec<Option<Vec<u8>>> {
        (0..4).map(|file| fs::read(self.file(file)).ok()).collect()
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.directory.path().join("home"), "s").unwrap()
    }

    fn run(&self, journal: &mut Journal, edits: &[Edit]) {
        journal.begin("p").unwrap();
        for edit in edits {
            let path = self.file(edit.0);
            if !journal.has(&path) {
                journal.keep(&path, 1000).unwrap();
            }
            self.write(*edit);
            journal.changed(&path).unwrap();
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((0usize..4, prop::option::weighted(0.8, 0u8..4)), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However runs change files, and whatever was undone between them: an undo brings everything back to the moment
    /// before its first run, and a journal that is read anew knows the same.
    #[test]
    fn an_undo_brings_back_what_was(
        first in edits(),
        runs in prop::collection::vec((edits(), prop::option::weighted(0.3, any::<prop::sample::Index>())), 1..6),
    ) {
        let world = World::new();
        for edit in &first {
            world.write(*edit);
        }
        // What was there before each run that is not undone.
        let mut stack: Vec<(u32, Vec<Option<Vec<u8>>>)> = Vec::new();
        let mut journal = world.journal();
        for (edits, then_undo) in &runs {
            let before = world.contents();
            world.run(&mut journal, edits);
            stack.push((journal.runs().last().unwrap().number, before));
            journal = world.journal();
            if let Some(at) = then_undo {
                let (from, before) = stack[at.index(stack.len())].clone();
                stack.retain(|(number, _)| *number < from);
                prop_assert!(conflicts(&journal, from).is_empty());
                let report = undo(&mut journal, from, false).unwrap();
                prop_assert!(report.is_complete(), "{report:?}");
                prop_assert_eq!(world.contents(), before);
            }
        }
    }

    /// What somebody changed after the agent is never overwritten without force, and with force nothing is lost.
    #[test]
    fn what_others_changed_is_left_alone(runs in prop::collection::vec(edits(), 1..4), by_hand in edits()) {
        let world = World::new();
        let mut journal = world.journal();
        for edits in &runs {
            world.run(&mut journal, edits);
        }
        let left = world.contents();
        for edit in &by_hand {
            world.write(*edit);
        }
        let now = world.contents();
        let report = undo(&mut journal, 1, false).unwrap();
        for file in 0..4 {
            if now[file] != left[file] && now[file].is_some() {
                prop_assert_eq!(&world.contents()[file], &now[file]);
            }
        }
        let forced = undo(&mut journal, 1, true).unwrap();
        if !report.is_complete() {
            prop_assert!(forced.is_complete(), "{forced:?}");
        }
        prop_assert_eq!(world.contents(), vec![None; 4].into_iter().enumerate().map(|(file, gone)| {
            // A file that no run touched is nobody's business.
            if runs.iter().flatten().any(|edit| edit.0 == file) { gone } else { now[file].clone() }
        }).collect::<Vec<_>>());
        for file in &forced.files {
            if let Fate::Overwritten { copy: Some(copy) } = &file.fate {
                let number: usize = file.path.file_name().unwrap().to_str().unwrap().parse().unwrap();
                prop_assert_eq!(fs::read(copy).ok(), now[number].clone());
            }
        }
    }
}

#[test]
fn what_is_damaged_is_said_and_never_written() {
    let world = World::new();
    world.write((0, Some(1)));
    let mut journal = world.journal();
    world.run(&mut journal, &[(0, Some(2))]);
    let Before::Kept { digest, .. } = journal.runs()[0].files[&world.file(0)].before.clone() else { panic!("kept") };
    fs::write(journal.object(&digest), "else").unwrap();
    let report = undo(&mut journal, 1, false).unwrap();
    assert_eq!(report.files[0].fate, Fate::Lost { reason: "what was kept is damaged".into() });
    assert_eq!(world.contents()[0], Some(vec![2; 3]));
}

#[cfg(unix)]
#[test]
fn permissions_come_back_and_what_is_kept_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.write((0, Some(1)));
    fs::set_permissions(world.file(0), fs::Permissions::from_mode(0o755)).unwrap();
    let mut journal = world.journal();
    world.run(&mut journal, &[(0, None)]);
    assert!(undo(&mut journal, 1, false).unwrap().is_complete());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.file(0)), 0o755);
    for entry in [journal.directory().to_owned(), journal.directory().join("objects")] {
        assert_eq!(mode(&entry), 0o700, "{}", entry.display());
    }
    assert_eq!(mode(&journal.directory().join("log.jsonl")), 0o600);
}

#[test]
fn a_line_that_was_cut_short_is_no_line() {
    let world = World::new();
    let mut journal = world.journal();
    world.run(&mut journal, &[(0, Some(1))]);
    let log = journal.directory().join("log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, &text[..text.len() - 9]).unwrap();
    let mut journal = world.journal();
    assert_eq!(journal.runs().len(), 1);
    // What the run left there is not known: it is left alone.
    assert!(!undo(&mut journal, 1, false).unwrap().is_complete());
    assert!(undo(&mut journal, 1, true).unwrap().is_complete());
}
