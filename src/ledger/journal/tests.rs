//! A journal over a real folder: what is read back, what leaves the disk, and a disk that refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Frame, Frames, Journal, Kind, Label, Segment, WAITING_BYTES};

fn frame(row: &str) -> Vec<u8> {
    let label = Label { kind: Kind::Run, id: Uuid::nil(), number: 0 };
    Frame::write_into(Vec::new(), label, &row)
}

async fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come");
}

#[tokio::test]
async fn what_is_let_go_leaves_the_disk_and_the_rest_is_read() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let journal = Journal::create(root.path(), Uuid::nil(), 1_000_000).expect("is made");
    let first = journal.append(&frame("one"));
    journal.written(first.end()).await;
    journal.turn_over();
    wait_for(|| journal.shared.segments().len() == 2).await;
    let second = journal.append(&frame("two"));
    journal.written(second.end()).await;
    let bytes = journal.read(second).await.expect("is read").expect("is there");
    assert_eq!(Frames::of(&bytes).next().expect("is whole").read(), Ok("two"));
    assert_eq!(journal.read_from(0, 1).await.expect("is read"), frame("one"));

    journal.let_go(second.position);
    assert!(journal.read(first).await.expect("is read").is_none());
    assert_eq!(journal.size_bytes(), second.length as u64);
    assert_eq!(Segment::list(&journal.shared.folder.path).expect("is read").len(), 1);
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_of_and_tried_again() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let journal = Journal::create(root.path(), Uuid::nil(), 1_000_000).expect("is made");
    let folder = &journal.shared.folder.path;
    let segment = |segment: Segment| BTreeMap::from([(0, Arc::new(segment))]);
    // Opened to be read alone.
    let closed = Segment::list(folder).expect("is read").pop().expect("one");
    *journal.shared.segments() = segment(closed);
    let place = journal.append(&frame("one"));
    assert!(!journal.is_written(place.end()).await);
    assert_eq!(journal.written_end(), 0);
    assert!(journal.is_failing() && !journal.has_room());

    std::fs::remove_file(folder.join(format!("{:020}.journal", 0))).expect("is removed");
    *journal.shared.segments() = segment(Segment::create(folder, 0).expect("is made"));
    journal.written(place.end()).await;
    wait_for(|| journal.has_room()).await;
    let bytes = journal.read(place).await.expect("is read").expect("is there");
    assert_eq!(Frames::of(&bytes).next().expect("is whole").read(), Ok("one"));
}

#[tokio::test]
async fn many_records_are_written_although_nobody_waits_for_them() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let journal = Journal::create(root.path(), Uuid::nil(), 10_000_000).expect("is made");
    let few = journal.append(&frame("few"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(journal.written_end(), 0, "nobody wants it");
    let many = journal.append(&frame(&"x".repeat(WAITING_BYTES)));
    wait_for(|| journal.written_end() == many.end()).await;
    assert!(few.end() < many.end());
}
