//! Why a candidate has its score: the pieces of its file that the request's words and meaning met.

use super::Index;
use super::decision::{Reason, ReasonKind};
use super::document::{Field, Segment};
use super::score::{Query, Scored, round, saturate};

/// The strongest pieces are named; the rest is told by their shares not adding up to 1.
const MAX_PIECES: usize = 3;

/// Words that are named.
const MAX_WORDS: usize = 8;

/// Longest piece of text in a reason, in characters.
const MAX_TEXT_LENGTH: usize = 300;

/// Stands for the text of a request that was corrected: another caller may have asked it, and it is theirs.
const CORRECTED_REQUEST: &str = "a request that was said to belong to this agent";

pub(super) fn explain(index: &Index, query: &Query, candidate: &Scored<'_>) -> Vec<Reason> {
    let part_of_words = candidate.evidence.part_of_words();
    let mut reasons = nearest_pieces(query, candidate, 1.0 - part_of_words);
    reasons.extend(words(index, query, candidate, part_of_words));
    reasons.sort_by(|one, other| other.share.total_cmp(&one.share));
    reasons.extend(candidate.exclusion.map(|(text, strength)| Reason {
        kind: ReasonKind::Exclusion,
        text: shorten(text),
        words: Vec::new(),
        share: -round(f64::from(strength)),
    }));
    reasons
}

/// The words that the request and the file share, and where most of them stand.
fn words(index: &Index, query: &Query, candidate: &Scored<'_>, part: f32) -> Option<Reason> {
    let content = &candidate.document.content;
    // What each of the candidate's terms gave to the score.
    let mut gains = vec![0.0; content.terms.len()];
    let mut shared: Vec<(&str, f32)> = Vec::new();
    for asked in &query.terms {
        if let Some((position, term)) = content.term(&asked.stem) {
            gains[position] = asked.weight * saturate(index.frequency(content, term));
            shared.push((&asked.word, gains[position]));
        }
    }
    shared.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let gain = |segment: &Segment| -> f32 {
        let gained: f32 = segment.terms.iter().map(|position| gains[*position as usize]).sum();
        gained * segment.field.weight()
    };
    let piece = content.segments.iter().max_by(|one, other| gain(one).total_cmp(&gain(other)))?;
    let share = round(f64::from(part));
    (share > 0.0 && !shared.is_empty()).then(|| Reason {
        kind: ReasonKind::Words,
        text: text_of(piece),
        words: shared.iter().take(MAX_WORDS).map(|(word, _)| (*word).to_owned()).collect(),
        share,
    })
}

/// The pieces of the file that mean what the request means.
fn nearest_pieces(query: &Query, candidate: &Scored<'_>, part: f32) -> Vec<Reason> {
    let Some(request) = &query.embedding else { return Vec::new() };
    let nearness = |segment: &Segment| {
        let cosine = segment.embedding.as_ref().map_or(0.0, |embedding| embedding.cosine(request));
        // What is half as near says a sixteenth: the nearest piece is the reason, not the many that are far.
        cosine.max(0.0).powi(4) * segment.field.weight()
    };
    let segments = &candidate.document.content.segments;
    let mut pieces: Vec<(&Segment, f32)> =
        segments.iter().map(|segment| (segment, nearness(segment))).collect();
    let all: f32 = pieces.iter().map(|(_, nearness)| nearness).sum();
    pieces.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    pieces
        .into_iter()
        .take(MAX_PIECES)
        .map(|(segment, nearness)| Reason {
            kind: segment.field.reason_kind(),
            text: text_of(segment),
            words: Vec::new(),
            share: round(f64::from(part * nearness / all.max(f32::MIN_POSITIVE))),
        })
        .filter(|reason| reason.share > 0.0)
        .collect()
}

fn text_of(segment: &Segment) -> String {
    match segment.field {
        Field::Learned => CORRECTED_REQUEST.to_owned(),
        _ => shorten(&segment.text),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
