//! What a vendor answers: a head, pieces of a body with pauses, and how the connection is left.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

/// What to answer.
pub struct Reply {
    /// `None`: not even headers.
    pub(super) head: Option<Head>,
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
}

pub(super) struct Head {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// The length that is promised; `None` sends chunks.
    pub length: Option<usize>,
}

pub(super) enum Step {
    Send(Bytes),
    Pause(Duration),
    /// Pieces that the test sends when it likes.
    Paced(mpsc::Receiver<Bytes>),
    /// Until the test says so.
    Wait(watch::Receiver<bool>),
}

#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// As the protocol wants it; the connection stays.
    Whole,
    /// The connection is closed before the body's end.
    Cut,
    /// The connection is reset.
    Reset,
    /// Nothing more, until the service leaves.
    Silence,
}

/// The test's end of a paced reply. Dropping it ends the answer.
pub struct Pace(mpsc::Sender<Bytes>);

impl Pace {
    pub async fn send(&self, frame: &str) {
        assert!(self.is_read(frame).await, "the service still reads");
    }

    /// Sends as well, and says whether the service was still there.
    pub async fn is_read(&self, frame: &str) -> bool {
        self.0.send(Bytes::from(frame.to_owned())).await.is_ok()
    }
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, body.to_string())
    }

    /// A body that says to be JSON and may be none.
    pub fn body(body: &str) -> Self {
        Self::whole(200, body.to_owned())
    }

    fn whole(status: u16, body: String) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        let head = Head { status, headers, length: Some(body.len()) };
        Self { head: Some(head), steps: vec![Step::Send(body.into())], ending: Ending::Whole }
    }

    /// A stream that is sent at once.
    pub fn events(frames: &[String]) -> Self {
        let mut reply = Self::stream();
        reply.steps.push(Step::Send(frames.concat().into()));
        reply
    }

    /// A stream whose frames come one by one, with a pause before each.
    pub fn slow_events(frames: &[String], pause: Duration) -> Self {
        let mut reply = Self::stream();
        for frame in frames {
            reply.steps.extend([Step::Pause(pause), Step::Send(frame.clone().into())]);
        }
        reply
    }

    /// A stream whose bytes come a few at a time, frames and characters split wherever that falls.
    pub fn dribble(frames: &[String], size: usize) -> Self {
        let mut reply = Self::stream();
        let bytes = Bytes::from(frames.concat());
        for start in (0..bytes.len()).step_by(size) {
            let piece = bytes.slice(start..bytes.len().min(start + size));
            reply.steps.extend([Step::Pause(Duration::from_millis(1)), Step::Send(piece)]);
        }
        reply
    }

    /// A stream whose pieces the test sends when it likes.
    pub fn paced() -> (Self, Pace) {
        let (sender, receiver) = mpsc::channel(16);
        let mut reply = Self::stream();
        reply.steps.push(Step::Paced(receiver));
        (reply, Pace(sender))
    }

    /// Not even headers.
    pub fn silence() -> Self {
        Self { head: None, steps: Vec::new(), ending: Ending::Silence }
    }

    /// The connection is reset, before any byte.
    pub fn reset() -> Self {
        Self { head: None, steps: Vec::new(), ending: Ending::Reset }
    }

    /// The same, and more of it once the test says so.
    pub fn then_events(mut self, frames: &[String], released: watch::Receiver<bool>) -> Self {
        self.steps.extend([Step::Wait(released), Step::Send(frames.concat().into())]);
        self
    }

    /// The same, but the connection is closed where the end should be.
    pub fn then_cut(mut self) -> Self {
        if let Some(length) = self.head.as_mut().and_then(|head| head.length.as_mut()) {
            *length += 100;
        }
        self.ending = Ending::Cut;
        self
    }

    /// The same, but the connection is reset where the end should be.
    pub fn then_reset(mut self) -> Self {
        self = self.then_cut();
        self.ending = Ending::Reset;
        self
    }

    /// The same, but nothing comes where the end should be.
    pub fn then_silence(mut self) -> Self {
        self = self.then_cut();
        self.ending = Ending::Silence;
        self
    }

    /// The same, later: headers at once, the body after a pause.
    pub fn after(mut self, pause: Duration) -> Self {
        self.steps.insert(0, Step::Pause(pause));
        self
    }

    pub fn with_status(mut self, status: u16) -> Self {
        if let Some(head) = &mut self.head {
            head.status = status;
        }
        self
    }

    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Some(head) = &mut self.head {
            head.headers.push((name, value.to_owned()));
        }
        self
    }

    fn stream() -> Self {
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        let head = Head { status: 200, headers, length: None };
        Self { head: Some(head), steps: Vec::new(), ending: Ending::Whole }
    }
}
