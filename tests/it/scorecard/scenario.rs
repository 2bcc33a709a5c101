//! The sixteen faults: what the vendor does, and how well a run is expected to come through.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::verdict::Verdict;
use super::{CLOCK, Cell, FLAP_DOWN, WORDS, Way, words};
use crate::support::{Received, Refusal, Reply};

pub struct Scenario {
    pub id: &'static str,
    pub title: &'static str,
    pub fault: Fault,
    /// What is expected where the caller has been shown a part of the answer.
    streamed: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    LimitedOnce,
    Limited,
    FailedOnce,
    Overloaded,
    ResetOnce,
    NoResponse,
    SlowFirstToken,
    Cut,
    Stall,
    MalformedChunk,
    NoLastMarker,
    ContextTooLong,
    ContentFiltered,
    /// Cut as well; its fallback refuses a conversation that ends with the model's own words.
    CutBeforeFallbackWithoutPrefill,
    Flapping,
    /// Overloaded as well; what is judged is the accounting.
    Accounting,
}

const fn scenario(
    id: &'static str,
    title: &'static str,
    fault: Fault,
    streamed: Verdict,
) -> Scenario {
    Scenario { id, title, fault, streamed }
}

/// A caller who has been shown content is told of the failure: nothing is asked for again behind it.
pub const SCENARIOS: [Scenario; 16] = [
    scenario("s01", "429 with Retry-After", Fault::LimitedOnce, Verdict::Pass),
    scenario("s02", "lasting 429", Fault::Limited, Verdict::Pass),
    scenario("s03", "one 500", Fault::FailedOnce, Verdict::Pass),
    scenario("s04", "lasting 503", Fault::Overloaded, Verdict::Pass),
    scenario("s05", "connection reset", Fault::ResetOnce, Verdict::Pass),
    scenario("s06", "no response", Fault::NoResponse, Verdict::Pass),
    scenario("s07", "slow first token", Fault::SlowFirstToken, Verdict::Pass),
    scenario("s08", "stream cut", Fault::Cut, Verdict::Safe),
    scenario("s09", "stream stall", Fault::Stall, Verdict::Safe),
    scenario("s10", "malformed chunk", Fault::MalformedChunk, Verdict::Safe),
    scenario("s11", "no last marker", Fault::NoLastMarker, Verdict::Pass),
    scenario("s12", "context too long", Fault::ContextTooLong, Verdict::Pass),
    scenario("s13", "content filter", Fault::ContentFiltered, Verdict::Pass),
    scenario(
        "s14",
        "fallback refuses prefill",
        Fault::CutBeforeFallbackWithoutPrefill,
        Verdict::Safe,
    ),
    scenario("s15", "flapping primary", Fault::Flapping, Verdict::Pass),
    scenario("s16", "fail-over accounting", Fault::Accounting, Verdict::Pass),
];

impl Scenario {
    /// How a run should come through. Who is shown nothing before the end is given an answer in every case.
    pub fn expected(&self, way: Way) -> Verdict {
        if way == Way::Streamed { self.streamed } else { Verdict::Pass }
    }
}

/// What the vendor answers, by the model that it is asked for.
pub fn script(cells: &[Cell]) -> impl Fn(&Received) -> Reply + use<> {
    let primaries: HashMap<String, Cell> =
        cells.iter().map(|cell| (cell.primary(), cell.clone())).collect();
    let fallbacks: HashMap<String, Cell> =
        cells.iter().map(|cell| (cell.fallback(), cell.clone())).collect();
    let counts: Mutex<HashMap<String, (usize, Instant)>> = Mutex::default();
    move |request| {
        let model = request.model();
        if let Some(cell) = fallbacks.get(model) {
            return healthy(cell, model);
        }
        let cell = &primaries[model];
        let (count, first_at) = {
            let mut counts = counts.lock().expect("not poisoned");
            let entry = counts.entry(model.to_owned()).or_insert((0, Instant::now()));
            entry.0 += 1;
            *entry
        };
        primary(cell, model, count, first_at)
    }
}

fn primary(cell: &Cell, model: &str, count: usize, first_at: Instant) -> Reply {
    let wire = cell.wire;
    let refusal = |refusal| {
        let (status, body) = wire.refusal(refusal, "the vendor's words");
        Reply::json(status, &body)
    };
    match cell.scenario.fault {
        Fault::LimitedOnce if count == 1 => {
            refusal(Refusal::RateLimited).with_header("retry-after", "2")
        }
        Fault::Limited => refusal(Refusal::RateLimited),
        Fault::FailedOnce if count == 1 => refusal(Refusal::Failed),
        Fault::Overloaded | Fault::Accounting => refusal(Refusal::Overloaded),
        Fault::ResetOnce if count == 1 => Reply::reset(),
        Fault::NoResponse => Reply::silence(),
        Fault::SlowFirstToken => healthy(cell, model).after(CLOCK * 2),
        Fault::Cut | Fault::CutBeforeFallbackWithoutPrefill => partial(cell, model, 40).then_cut(),
        Fault::Stall => partial(cell, model, 20).then_silence(),
        Fault::MalformedChunk => malformed(cell, model),
        Fault::NoLastMarker => without_last_marker(cell, model),
        Fault::ContextTooLong => refusal(Refusal::ContextTooLong),
        Fault::ContentFiltered => refusal(Refusal::ContentFiltered),
        Fault::Flapping if first_at.elapsed() < FLAP_DOWN => refusal(Refusal::Overloaded),
        Fault::LimitedOnce | Fault::FailedOnce | Fault::ResetOnce | Fault::Flapping => {
            healthy(cell, model)
        }
    }
}

/// The whole answer.
fn healthy(cell: &Cell, model: &str) -> Reply {
    if cell.way == Way::OnePiece {
        return Reply::json(200, &cell.wire.message(model, &words().concat()));
    }
    stream(&[frames(cell, model, WORDS), vec![cell.wire.finish(model), cell.wire.last()]].concat())
}

/// An answer that does not come to its end.
fn partial(cell: &Cell, model: &str, words_said: usize) -> Reply {
    if cell.way == Way::OnePiece {
        return healthy(cell, model);
    }
    stream(&frames(cell, model, words_said))
}

fn malformed(cell: &Cell, model: &str) -> Reply {
    if cell.way == Way::OnePiece {
        let whole = cell.wire.message(model, &words().concat()).to_string();
        return Reply::body(&whole[..whole.len() / 2]);
    }
    let mut frames = frames(cell, model, WORDS);
    frames.insert(10, cell.wire.malformed());
    stream(&[frames, vec![cell.wire.finish(model), cell.wire.last()]].concat())
}

fn without_last_marker(cell: &Cell, model: &str) -> Reply {
    if cell.way == Way::OnePiece {
        return healthy(cell, model);
    }
    stream(&[frames(cell, model, WORDS), vec![cell.wire.finish(model)]].concat())
}

fn stream(frames: &[String]) -> Reply {
    Reply::slow_events(frames, Duration::from_millis(1))
}

/// What comes before the end.
fn frames(cell: &Cell, model: &str, words_said: usize) -> Vec<String> {
    let said = words();
    let texts = said[..words_said].iter().map(|word| cell.wire.text(model, word));
    std::iter::once(cell.wire.start(model)).chain(texts).collect()
}
