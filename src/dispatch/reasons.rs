//! Why a candidate has its score: the pieces of its file that the request's words met.

use super::Index;
use super::decision::{Reason, ReasonKind};
use super::score::{Query, Scored, round, saturate};

/// The strongest pieces are named; the rest is told by their shares not adding up to 1.
const MAX_REASONS: usize = 4;

/// Longest piece of text in a reason, in characters.
const MAX_TEXT_LENGTH: usize = 300;

pub(super) fn explain(index: &Index, query: &Query, candidate: &Scored<'_>) -> Vec<Reason> {
    let content = &candidate.document.content;
    // What each word of the request gave to the score, for one occurrence in a field of weight 1.
    let gains: Vec<(u32, f32)> = query
        .terms
        .iter()
        .filter_map(|term| {
            let position = content.terms.iter().position(|own| own.stem == term.stem)?;
            let frequency: f32 = content
                .segments
                .iter()
                .map(|segment| {
                    let position = u32::try_from(position).ok();
                    let count = segment.terms.iter().filter(|own| Some(**own) == position).count();
                    #[expect(clippy::cast_precision_loss, reason = "a segment has few words")]
                    let count = count as f32;
                    count * index.occurrence_weight(content, segment.field)
                })
                .sum();
            let gain = term.weight * saturate(frequency) / frequency.max(f32::MIN_POSITIVE);
            Some((u32::try_from(position).ok()?, gain))
        })
        .collect();
    let mut shares: Vec<(usize, f32)> = content
        .segments
        .iter()
        .enumerate()
        .map(|(number, segment)| {
            let sum: f32 = segment
                .terms
                .iter()
                .filter_map(|own| gains.iter().find(|(position, _)| position == own))
                .map(|(_, gain)| gain)
                .sum();
            (number, sum * index.occurrence_weight(content, segment.field))
        })
        .filter(|(_, share)| *share > 0.0)
        .collect();
    let total: f32 = shares.iter().map(|(_, share)| share).sum();
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut reasons: Vec<Reason> = shares
        .into_iter()
        .take(MAX_REASONS)
        .map(|(number, share)| {
            let segment = &content.segments[number];
            Reason {
                kind: segment.field.reason_kind(),
                text: shorten(&segment.text),
                share: round(f64::from(share / total)),
            }
        })
        .collect();
    reasons.extend(candidate.exclusion.map(|(text, strength)| Reason {
        kind: ReasonKind::Exclusion,
        text: shorten(text),
        share: -round(f64::from(strength)),
    }));
    reasons
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
