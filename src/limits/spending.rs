//! What the runs of a key have cost this month: here, and in other instances.

use std::collections::{BTreeMap, HashMap};

use chrono::{Datelike, NaiveDate, TimeZone, Utc};
use uuid::Uuid;

use super::Period;
use crate::chat::Money;

/// What a key's runs have cost, as far as it is known here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub today: Money,
    pub this_month: Money,
}

#[derive(Debug, Default)]
pub(super) struct Spending {
    here: BTreeMap<NaiveDate, Money>,
    /// As other instances have written it, each its own sum of a day.
    elsewhere: HashMap<(NaiveDate, Uuid), Money>,
}

impl Spending {
    pub fn add(&mut self, day: NaiveDate, cost: Money) {
        if cost > Money::ZERO {
            let sum = self.here.entry(day).or_default();
            *sum = *sum + cost;
        }
    }

    pub fn spent(&self, today: NaiveDate) -> Spent {
        let elsewhere = self.elsewhere.iter().map(|((day, _), sum)| (*day, *sum));
        let days = self.here.iter().map(|(day, sum)| (*day, *sum)).chain(elsewhere);
        let month = start_of_month(today);
        days.fold(Spent::default(), |spent, (day, sum)| Spent {
            today: if day == today { spent.today + sum } else { spent.today },
            this_month: if day >= month { spent.this_month + sum } else { spent.this_month },
        })
    }

    pub fn note_elsewhere(&mut self, day: NaiveDate, instance_id: Uuid, sum: Money) {
        self.elsewhere.insert((day, instance_id), sum);
    }

    pub fn forget_before(&mut self, first_day: NaiveDate) {
        self.here.retain(|day, _| *day >= first_day);
        self.elsewhere.retain(|(day, _), _| *day >= first_day);
    }
}

pub(super) fn start_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).expect("every month has a first day")
}

/// How long a budget that is spent stays so.
pub(super) fn until_renewed(period: Period, now: chrono::DateTime<Utc>) -> std::time::Duration {
    let today = now.date_naive();
    let first_day = match period {
        Period::Day => today.succ_opt(),
        Period::Month => start_of_month(today).checked_add_months(chrono::Months::new(1)),
    };
    let renewed = first_day.and_then(|day| day.and_hms_opt(0, 0, 0));
    let renewed = renewed.map_or(now, |renewed| Utc.from_utc_datetime(&renewed));
    (renewed - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeZone, Utc};
    use uuid::Uuid;

    use super::{Period, Spending, Spent, until_renewed};
    use crate::chat::Money;

    fn day(month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, month, day).expect("is a day")
    }

    #[test]
    fn days_and_months_are_summed_over_instances() {
        let mut spending = Spending::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        spending.add(day(11, 26), Money::from_nanos(1));
        spending.add(day(11, 25), Money::from_nanos(10));
        spending.add(day(10, 31), Money::from_nanos(100));
        spending.note_elsewhere(day(11, 26), one, Money::from_nanos(500));
        // A sum replaces the one before it.
        spending.note_elsewhere(day(11, 26), one, Money::from_nanos(1_000));
        spending.note_elsewhere(day(11, 1), other, Money::from_nanos(10_000));
        let spent = spending.spent(day(11, 26));
        let expected =
            Spent { today: Money::from_nanos(1_001), this_month: Money::from_nanos(11_011) };
        assert_eq!(spent, expected);
    }

    #[test]
    fn what_no_budget_counts_any_more_is_forgotten() {
        let mut spending = Spending::default();
        spending.add(day(11, 26), Money::from_nanos(1));
        spending.add(day(12, 1), Money::from_nanos(2));
        spending.forget_before(day(12, 1));
        assert_eq!(spending.spent(day(11, 26)).today, Money::ZERO);
        assert_eq!(spending.spent(day(12, 1)).today, Money::from_nanos(2));
    }

    #[test]
    fn budgets_are_renewed_at_midnight() {
        let now = Utc.with_ymd_and_hms(2026, 12, 31, 23, 0, 0).single().expect("is a time");
        assert_eq!(until_renewed(Period::Day, now).as_secs(), 3_600);
        assert_eq!(until_renewed(Period::Month, now).as_secs(), 3_600);
        let now = Utc.with_ymd_and_hms(2026, 11, 29, 0, 0, 0).single().expect("is a time");
        assert_eq!(until_renewed(Period::Month, now).as_secs(), 2 * 86_400);
    }
}
