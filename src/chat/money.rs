//! Amounts of money that add up exactly.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

const NANOS_PER_USD: f64 = 1e9;

/// Billionths of a US dollar. A single token of the cheapest models costs some tens of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    pub const ZERO: Self = Self(0);

    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The nearest amount; nothing for what is none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast keeps to the bounds of the type, and what is no number becomes 0"
    )]
    pub fn from_usd(usd: f64) -> Self {
        Self((usd * NANOS_PER_USD).round() as u64)
    }

    pub fn nanos(self) -> u64 {
        self.0
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to nine million dollars")]
    pub fn to_usd(self) -> f64 {
        self.0 as f64 / NANOS_PER_USD
    }

    /// What is left when `other` is taken away; nothing if that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// In dollars, without needless zeros.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.6}", self.to_usd());
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        write!(formatter, "{short} USD")
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn small_amounts_add_up_exactly() {
        let fifty: Money = (0..50).map(|_| Money::from_usd(0.02)).sum();
        assert_eq!(fifty, Money::from_usd(1.0));
        assert_eq!(fifty.minus(Money::from_usd(2.0)), Money::ZERO);
    }

    #[test]
    fn what_is_no_amount_is_nothing() {
        assert_eq!(Money::from_usd(-1.0), Money::ZERO);
        assert_eq!(Money::from_usd(f64::NAN), Money::ZERO);
    }

    #[test]
    fn amounts_are_told_in_dollars() {
        assert_eq!(Money::from_usd(1.0).to_string(), "1 USD");
        assert_eq!(Money::from_usd(0.0205).to_string(), "0.0205 USD");
    }
}
