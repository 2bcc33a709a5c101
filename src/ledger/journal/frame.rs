//! A record as it stands in a journal: a length, a checksum, and what they are of. Pure.

use crc32c::crc32c;
use serde::Serialize;
use serde::de::Deserialize;
use uuid::Uuid;

/// The length and the checksum, both little-endian.
const HEAD_BYTES: usize = 8;

/// The kind, the id and the number.
const LABEL_BYTES: usize = 1 + 16 + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dispatch,
    Run,
    RunEvents,
}

/// What can be known of a record without its row being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub kind: Kind,
    pub id: Uuid,
    /// Of events the sequence number of the first, else 0.
    pub number: i32,
}

/// A record in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub label: Label,
    /// The record, as [postcard](https://postcard.jamesmunns.com/wire-format) writes it.
    pub record: &'a [u8],
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Dispatch => 1,
            Self::Run => 2,
            Self::RunEvents => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Dispatch, Self::Run, Self::RunEvents].into_iter().find(|kind| kind.to_byte() == byte)
    }
}

impl<'a> Frame<'a> {
    /// Writes a frame into `bytes`, whose room is used and whose content is lost.
    pub fn write_into(mut bytes: Vec<u8>, label: Label, record: &impl Serialize) -> Vec<u8> {
        bytes.clear();
        bytes.extend_from_slice(&[0; HEAD_BYTES]);
        bytes.push(label.kind.to_byte());
        bytes.extend_from_slice(label.id.as_bytes());
        bytes.extend_from_slice(&label.number.to_le_bytes());
        bytes = postcard::to_io(record, bytes).expect("memory takes what can be written");
        let body = &bytes[HEAD_BYTES..];
        let length = u32::try_from(body.len()).expect("a record is far below 4 GiB");
        let checksum = crc32c(body);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the record.
    ///
    /// # Errors
    /// If it is none of this type.
    pub fn read<T: Deserialize<'a>>(&self) -> Result<T, postcard::Error> {
        postcard::from_bytes(self.record)
    }
}

/// The frames at the beginning of some bytes, to the first one that is not whole.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    /// How many bytes the frames so far have taken.
    pub position: usize,
}

impl<'a> Frames<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Goes on behind a frame that is damaged, if there is a whole one behind it. Returns how many bytes are passed over.
    pub fn skip_damaged(&mut self) -> Option<usize> {
        let (length, _) = self.bytes.get(self.position..)?.split_first_chunk()?;
        let damaged = usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(HEAD_BYTES)?;
        let behind = self.bytes.get(self.position.checked_add(damaged)?..)?;
        Self::of(behind).next()?;
        self.position += damaged;
        Some(damaged)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (length, rest) = self.bytes[self.position..].split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let body = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        if crc32c(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (label, record) = body.split_at_checked(LABEL_BYTES)?;
        let (kind, label) = label.split_first()?;
        let (id, number) = label.split_first_chunk()?;
        let label = Label {
            kind: Kind::from_byte(*kind)?,
            id: Uuid::from_bytes(*id),
            number: i32::from_le_bytes(number.try_into().ok()?),
        };
        let frame = Frame { label, record };
        self.position += HEAD_BYTES + body.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Frame, Frames, Kind, Label};

    fn written(label: Label, record: &str) -> Vec<u8> {
        Frame::write_into(Vec::new(), label, &record)
    }

    fn two_frames() -> (Vec<u8>, usize) {
        let label = Label { kind: Kind::Run, id: Uuid::max(), number: 0 };
        let mut bytes = written(label, "é");
        let first = bytes.len();
        let label = Label { kind: Kind::RunEvents, id: Uuid::nil(), number: 7 };
        bytes.extend(written(label, ""));
        (bytes, first)
    }

    #[test]
    fn what_was_written_is_read() {
        let (bytes, _) = two_frames();
        let mut frames = Frames::of(&bytes);
        let read: Vec<(Kind, i32, Result<&str, _>)> = frames
            .by_ref()
            .map(|frame| (frame.label.kind, frame.label.number, frame.read()))
            .collect();
        let expected = [(Kind::Run, 0, Ok("é")), (Kind::RunEvents, 7, Ok(""))];
        assert_eq!(read, expected);
        assert_eq!(frames.position, bytes.len());
    }

    #[test]
    fn a_torn_frame_is_none_wherever_it_is_torn() {
        let (bytes, first) = two_frames();
        for end in first..bytes.len() {
            let mut frames = Frames::of(&bytes[..end]);
            assert_eq!(frames.by_ref().count(), 1, "cut at {end}");
            assert_eq!(frames.position, first);
        }
    }

    #[test]
    fn a_frame_with_another_byte_is_none() {
        let (bytes, first) = two_frames();
        for place in first..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(Frames::of(&damaged).count(), 1, "another byte at {place}");
        }
    }

    #[test]
    fn what_is_behind_a_damaged_frame_is_read() {
        let (mut bytes, first) = two_frames();
        bytes[first - 1] ^= 1;
        let mut frames = Frames::of(&bytes);
        assert!(frames.next().is_none());
        assert_eq!(frames.skip_damaged(), Some(first));
        assert_eq!(frames.next().map(|frame| frame.label.number), Some(7));
        // At the end there is nothing to go on with, and a length that is none leads nowhere.
        assert_eq!(frames.skip_damaged(), None);
        bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Frames::of(&bytes).skip_damaged(), None);
    }
}
