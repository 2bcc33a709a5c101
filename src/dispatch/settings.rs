//! What the operator says of picking.

use super::fitness::OnDegraded;
use super::judge::JudgeSettings;

/// What happens with a request that no agent fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNone {
    #[default]
    Refuse,
    DefaultAgent,
    /// The judge is asked whether one of the best fits after all.
    Judge,
}

/// What happens if two agents fit about equally well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    #[default]
    /// A run takes the first.
    Run,
    /// A run is refused.
    Refuse,
    /// The judge decides between them.
    Judge,
}

/// A score is 0 to 1. Two agents of one field are mostly nearer to each other than this.
pub const DEFAULT_HAND_OVER_MARGIN: f64 = 0.2;

#[derive(Debug, Clone)]
pub struct Settings {
    pub on_none: OnNone,
    pub on_ambiguous: OnAmbiguous,
    pub default_agent: Option<String>,
    pub judge: Option<JudgeSettings>,
    pub on_degraded: OnDegraded,
    /// How far an agent must be ahead of the one that has a stored conversation to be given it: a difference of scores.
    pub hand_over_margin: f64,
    /// Whether the text of requests is kept with the decisions.
    pub stores_content: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on_none: OnNone::default(),
            on_ambiguous: OnAmbiguous::default(),
            default_agent: None,
            judge: None,
            on_degraded: OnDegraded::default(),
            hand_over_margin: DEFAULT_HAND_OVER_MARGIN,
            stores_content: false,
        }
    }
}
