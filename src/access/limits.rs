//! What a key may use, as it is set. What has been used of it is not known here.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Most dollars, tokens or anything else that a limit can be: what is more is a mistake.
const MOST: u64 = 1_000_000_000;

/// What a key may use. What is `None` is as it is set for all keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyLimits {
    pub requests_per_minute: Option<Limit<u64>>,
    /// Of prompts and answers together.
    pub tokens_per_minute: Option<Limit<u64>>,
    pub concurrent_runs: Option<Limit<u64>>,
    /// US dollars in a day, UTC.
    pub usd_per_day: Option<Limit<f64>>,
    /// US dollars in a calendar month, UTC.
    pub usd_per_month: Option<Limit<f64>>,
}

/// A change of them. What is left out stays as it is; `null` makes it what is set for all keys.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyLimitsChange {
    #[serde(default)]
    #[schema(value_type = Option<Limit<u64>>)]
    requests_per_minute: Change<u64>,
    /// Of prompts and answers together.
    #[serde(default)]
    #[schema(value_type = Option<Limit<u64>>)]
    tokens_per_minute: Change<u64>,
    #[serde(default)]
    #[schema(value_type = Option<Limit<u64>>)]
    concurrent_runs: Change<u64>,
    /// US dollars in a day, UTC.
    #[serde(default)]
    #[schema(value_type = Option<Limit<f64>>)]
    usd_per_day: Change<f64>,
    /// US dollars in a calendar month, UTC.
    #[serde(default)]
    #[schema(value_type = Option<Limit<f64>>)]
    usd_per_month: Change<f64>,
}

impl KeyLimitsChange {
    pub fn apply(self, before: &KeyLimits) -> KeyLimits {
        KeyLimits {
            requests_per_minute: self.requests_per_minute.apply(before.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.apply(before.tokens_per_minute),
            concurrent_runs: self.concurrent_runs.apply(before.concurrent_runs),
            usd_per_day: self.usd_per_day.apply(before.usd_per_day),
            usd_per_month: self.usd_per_month.apply(before.usd_per_month),
        }
    }
}

/// What is said of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Change<T> {
    #[default]
    Nothing,
    To(Option<Limit<T>>),
}

impl<T> Change<T> {
    fn apply(self, before: Option<Limit<T>>) -> Option<Limit<T>> {
        match self {
            Self::Nothing => before,
            Self::To(limit) => limit,
        }
    }
}

impl<'de, T: Amount> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::To)
    }
}

/// A limit of a key's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Limit<T> {
    At(T),
    /// The word `unlimited`: whatever is set for all keys.
    None(Unlimited),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlimited {
    Unlimited,
}

impl<T: Copy> Limit<T> {
    /// The limit that holds, where `for_all` is what is set for all keys.
    pub fn or_for_all(own: Option<Self>, for_all: Option<T>) -> Option<T> {
        match own {
            Some(Self::At(limit)) => Some(limit),
            Some(Self::None(_)) => None,
            None => for_all,
        }
    }
}

/// What a limit counts.
pub trait Amount: Copy {
    const EXPECTED: &'static str;

    /// `None` if it can be no limit.
    fn of_whole(count: u64) -> Option<Self>;
    fn of_fraction(amount: f64) -> Option<Self>;
}

impl Amount for u64 {
    const EXPECTED: &'static str =
        "a whole number from 1 to 1,000,000,000, `unlimited` in quotes, or null";

    fn of_whole(count: u64) -> Option<Self> {
        (1..=MOST).contains(&count).then_some(count)
    }

    fn of_fraction(_amount: f64) -> Option<Self> {
        None
    }
}

impl Amount for f64 {
    const EXPECTED: &'static str =
        "a number above 0, at most 1,000,000,000, `unlimited` in quotes, or null";

    fn of_whole(count: u64) -> Option<Self> {
        u32::try_from(count).ok().and_then(|count| Self::of_fraction(f64::from(count)))
    }

    fn of_fraction(amount: f64) -> Option<Self> {
        (amount > 0.0 && amount <= 1e9).then_some(amount)
    }
}

impl<'de, T: Amount> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor(PhantomData))
    }
}

struct LimitVisitor<T>(PhantomData<T>);

impl<T: Amount> LimitVisitor<T> {
    fn accept<E: Error>(amount: Option<T>) -> Result<Limit<T>, E> {
        amount.map(Limit::At).ok_or_else(|| E::custom(format!("must be {}", T::EXPECTED)))
    }
}

impl<T: Amount> Visitor<'_> for LimitVisitor<T> {
    type Value = Limit<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Self::Value, E> {
        Self::accept(T::of_whole(count))
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Self::Value, E> {
        Self::accept(u64::try_from(count).ok().and_then(T::of_whole))
    }

    fn visit_f64<E: Error>(self, amount: f64) -> Result<Self::Value, E> {
        Self::accept(T::of_fraction(amount))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        match word {
            "unlimited" => Ok(Limit::None(Unlimited::Unlimited)),
            _ => Self::accept(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{KeyLimits, KeyLimitsChange, Limit};

    fn change(value: Value) -> Result<KeyLimitsChange, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let first = change(json!({"requests_per_minute": 5, "usd_per_day": 0.5})).expect("valid");
        let limits = first.apply(&KeyLimits::default());
        let second = json!({"usd_per_day": null, "concurrent_runs": "unlimited"});
        let limits = change(second).expect("valid").apply(&limits);
        let stored = serde_json::to_value(&limits).expect("is JSON");
        assert_eq!(
            stored,
            json!({"requests_per_minute": 5, "tokens_per_minute": null,
                   "concurrent_runs": "unlimited", "usd_per_day": null, "usd_per_month": null})
        );
        assert_eq!(serde_json::from_value::<KeyLimits>(stored).expect("is read"), limits);
    }

    #[test]
    fn what_can_be_no_limit_is_refused() {
        for bad in [json!(0), json!(-1), json!(1.5), json!("none"), json!(2_000_000_000_u64)] {
            assert!(change(json!({"requests_per_minute": bad})).is_err(), "{bad}");
        }
        assert!(change(json!({"usd_per_day": 0})).is_err());
        assert!(change(json!({"usd_per_week": 1})).is_err());
        assert!(change(json!({"usd_per_day": 3, "usd_per_month": 0.25})).is_ok());
    }

    #[test]
    fn a_key_s_own_limit_comes_first() {
        assert_eq!(Limit::or_for_all(Some(Limit::At(5)), Some(9)), Some(5));
        assert_eq!(Limit::or_for_all(None, Some(9)), Some(9));
        let unlimited: Limit<u64> = serde_json::from_value(json!("unlimited")).expect("is read");
        assert_eq!(Limit::or_for_all(Some(unlimited), Some(9)), None);
    }
}
