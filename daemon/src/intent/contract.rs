//! What every [`IntentStore`] promises, tried on the backends there are.

use std::fs;
use std::path::Path;

use super::*;

#[test]
fn a_committed_change_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let head = put(&mut open(dir.path()), "web", "1");
    let reopened = open(dir.path());
    assert_eq!(reopened.head(), head);
    assert_eq!(values(reopened.snapshot()), "web=1");
}

#[test]
fn a_change_made_from_an_older_head_conflicts_and_leaves_the_log_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let old = log.head();
    let head = put(&mut log, "web", "1");
    let refused = log.commit(old, delta(None, "pay", Some("2")));
    assert!(matches!(refused, Err(CommitError::Conflict(at)) if at == head));
    assert_eq!((log.head(), values(log.snapshot())), (head, "web=1".to_owned()));
}

#[test]
fn a_change_made_from_another_value_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    put(&mut log, "web", "1");
    let refused = log.commit(log.head(), delta(Some("7"), "web", Some("2")));
    assert!(matches!(refused, Err(CommitError::Mismatch(_))));
    assert_eq!(values(log.snapshot()), "web=1");
}

#[test]
fn every_revision_can_be_returned_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    put(&mut log, "web", "1");
    put(&mut log, "pay", "2");
    log.commit(log.head(), delta(Some("1"), "web", None)).unwrap();
    let states: Vec<_> = (0..=3).map(|at| values(&log.at(at).unwrap())).collect();
    assert_eq!(states, ["", "web=1", "pay=2 web=1", "pay=2"]);
    assert!(matches!(log.at(4), Err(ReadError::Future { head: 3 })));
}

#[test]
fn equal_states_have_equal_hashes_whatever_led_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let before = put(&mut log, "web", "1");
    put(&mut log, "pay", "2");
    let after = log.commit(log.head(), delta(Some("2"), "pay", None)).unwrap();
    assert_eq!((before.root, before.revision + 2), (after.root, after.revision));
}

#[test]
fn old_changes_melt_into_the_base_and_the_newest_thousand_stay() {
    // In memory: a thousand commits wait for a disk a thousand times.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut log = open(dir.path());
    put(&mut log, "web", "0");
    for n in 1..=1101 {
        let (before, after) = ((n - 1).to_string(), n.to_string());
        log.commit(log.head(), delta(Some(&before), "web", Some(&after))).unwrap();
    }
    assert!(matches!(log.deltas(0), Err(ReadError::Compacted { oldest: 102.. })));
    assert_eq!(log.deltas(102).unwrap().len(), 1000);
    let reopened = {
        drop(log);
        open(dir.path())
    };
    assert_eq!(values(reopened.snapshot()), "web=1101");
    assert_eq!(values(&reopened.at(500).unwrap()), "web=499");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    assert!(matches!(Sqlite::open(dir.path()), Err(OpenError::InUse { .. })));
}

#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..30 {
        put(&mut log, &format!("service-{n}"), &"x".repeat(200));
    }
    let (head, entries) = (log.head(), log.deltas(0).unwrap());
    drop(log);
    let sound = fs::read(dir.path().join("state.db")).unwrap();
    let mut found = 0;
    for position in (0..sound.len()).step_by(sound.len() / 400) {
        let copy = tempfile::tempdir().unwrap();
        let mut flipped = sound.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(copy.path().join("state.db"), &flipped).unwrap();
        match Sqlite::open(copy.path()) {
            Ok(log) => assert_eq!((log.head(), log.deltas(0).unwrap()), (head, entries.clone())),
            Err(OpenError::Corrupt { kept, .. }) => {
                assert_eq!(fs::read(kept).unwrap(), flipped);
                found += 1;
            }
            Err(OpenError::Newer { .. }) => found += 1,
            Err(other) => panic!("byte {position}: {other}"),
        }
    }
    assert!(found > 100, "only {found} flips were found");
}

#[test]
fn a_damaged_log_is_kept_and_never_replaced_by_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    put(&mut open(dir.path()), "web", "1");
    fs::write(dir.path().join("state.db"), b"").unwrap();
    let Err(OpenError::Corrupt { kept, .. }) = Sqlite::open(dir.path()) else { panic!("opened") };
    let again = Sqlite::open(dir.path());
    assert!(matches!(again, Err(OpenError::Corrupt { kept: same, .. }) if same == kept));

    fs::remove_file(kept).unwrap();
    assert_eq!(open(dir.path()).head().revision, 0);
}

fn open(dir: &Path) -> Sqlite {
    Sqlite::open(dir).unwrap()
}

fn put(log: &mut Sqlite, name: &str, value: &str) -> Head {
    log.commit(log.head(), delta(None, name, Some(value))).unwrap()
}

fn delta(before: Option<&str>, name: &str, after: Option<&str>) -> Delta {
    let key = Key { domain: Domain::Intent, path: name.to_owned() };
    let op = Op { key, before: before.map(str::to_owned), after: after.map(str::to_owned) };
    Delta { time_ms: 1, author: Author::default(), reason: String::new(), ops: vec![op] }
}

fn values(state: &State) -> String {
    let values: Vec<_> = state.iter().map(|(key, value)| format!("{}={value}", key.path)).collect();
    values.join(" ")
}
