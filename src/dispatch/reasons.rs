//! Why a candidate has its score: the pieces of its file that the request's words and meaning met.

use super::Index;
use super::decision::{Reason, ReasonKind};
use super::document::{Field, Segment};
use super::score::{Query, Scored, round, saturate};

/// The strongest pieces are named; the rest is told by their shares not adding up to 1.
const MAX_REASONS: usize = 4;

/// Longest piece of text in a reason, in characters.
const MAX_TEXT_LENGTH: usize = 300;

pub(super) fn explain(index: &Index, query: &Query, candidate: &Scored<'_>) -> Vec<Reason> {
    let content = &candidate.document.content;
    let by_words = word_shares(index, query, candidate);
    let by_meaning = meaning_shares(query, candidate);
    let part_of_words = candidate.evidence.part_of_words();
    let mut shares: Vec<(&Segment, f32)> = content
        .segments
        .iter()
        .zip(by_words.into_iter().zip(by_meaning))
        .map(|(segment, (words, meaning))| {
            (segment, words * part_of_words + meaning * (1.0 - part_of_words))
        })
        .filter(|(_, share)| *share > 0.0)
        .collect();
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut reasons: Vec<Reason> = shares
        .into_iter()
        .take(MAX_REASONS)
        .map(|(segment, share)| Reason {
            kind: segment.field.reason_kind(),
            text: shorten(&segment.text),
            share: round(f64::from(share)),
        })
        .collect();
    reasons.extend(candidate.exclusion.map(|(text, strength)| Reason {
        kind: ReasonKind::Exclusion,
        text: shorten(text),
        share: -round(f64::from(strength)),
    }));
    reasons
}

/// Each segment's part of what the words of the candidate were worth.
fn word_shares(index: &Index, query: &Query, candidate: &Scored<'_>) -> Vec<f32> {
    let content = &candidate.document.content;
    // What each of the candidate's terms gave to the score, for one occurrence in a field of weight 1.
    let mut gains = vec![0.0; content.terms.len()];
    for asked in &query.terms {
        if let Some((position, term)) = content.term(&asked.stem) {
            let frequency = index.frequency(content, term);
            gains[position] = asked.weight * saturate(frequency) / frequency.max(f32::MIN_POSITIVE);
        }
    }
    let weights = Field::ALL.map(|field| index.occurrence_weight(content, field));
    let shares = content.segments.iter().map(|segment| {
        let gained: f32 = segment.terms.iter().map(|position| gains[*position as usize]).sum();
        gained * weights[segment.field as usize]
    });
    normalized(shares.collect())
}

/// Each segment's part of what the meaning of the candidate was worth.
fn meaning_shares(query: &Query, candidate: &Scored<'_>) -> Vec<f32> {
    let Some(request) = &query.embedding else {
        return vec![0.0; candidate.document.content.segments.len()];
    };
    let nearest = |segment: &Segment| {
        let cosine = segment.embedding.as_ref().map_or(0.0, |embedding| embedding.cosine(request));
        // What is half as near says a quarter: the nearest piece is the reason, not the many that are far.
        cosine.max(0.0).powi(4) * segment.field.weight()
    };
    normalized(candidate.document.content.segments.iter().map(nearest).collect())
}

fn normalized(mut shares: Vec<f32>) -> Vec<f32> {
    let total: f32 = shares.iter().sum();
    if total > 0.0 {
        shares.iter_mut().for_each(|share| *share /= total);
    }
    shares
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
