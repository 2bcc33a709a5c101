//! A limit by the minute: a bucket that holds a minute's worth and fills evenly. It may be in debt, since what a run
//! really used is known behind it. In whole numbers, so that nothing is lost.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of `limit` gets this much in each nanosecond, so that one unit is this many times `limit`'s share.
const MINUTE: i128 = 60_000_000_000;

/// What is left of a limit by the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    pub remaining: u64,
    /// When all of it is there again.
    pub full_in: Duration,
}

#[derive(Debug)]
pub(super) struct Bucket {
    limit: u64,
    /// In minutes-nths of a unit, see [`MINUTE`].
    level: i128,
    at: Instant,
}

impl Bucket {
    pub fn new(limit: u64, now: Instant) -> Self {
        Self { limit, level: i128::from(limit) * MINUTE, at: now }
    }

    /// Brings it to this moment, and to a limit that may have changed. What has been used stays used.
    pub fn refresh(&mut self, limit: u64, now: Instant) {
        self.level += (i128::from(limit) - i128::from(self.limit)) * MINUTE;
        self.limit = limit;
        let nanos = i128::try_from(now.saturating_duration_since(self.at).as_nanos());
        let filled = nanos.unwrap_or(i128::MAX).saturating_mul(i128::from(limit));
        self.level = self.level.saturating_add(filled).min(self.full());
        self.at = now;
    }

    /// Takes as much, or says when it will be there. What is more than the bucket ever holds is there when it is full,
    /// and leaves a debt.
    pub fn take(&mut self, count: u64) -> Result<(), Duration> {
        let needed = (i128::from(count) * MINUTE).min(self.full());
        if self.level < needed {
            return Err(self.time_for(needed - self.level));
        }
        self.change(0, count);
        Ok(())
    }

    /// Makes what was taken another amount.
    pub fn change(&mut self, taken: u64, used: u64) {
        self.level += (i128::from(taken) - i128::from(used)) * MINUTE;
        self.level = self.level.min(self.full());
    }

    pub fn standing(&self) -> Standing {
        Standing {
            limit: self.limit,
            remaining: u64::try_from(self.level / MINUTE).unwrap_or(0),
            full_in: self.time_for(self.full() - self.level),
        }
    }

    fn full(&self) -> i128 {
        i128::from(self.limit) * MINUTE
    }

    fn time_for(&self, missing: i128) -> Duration {
        let limit = i128::from(self.limit.max(1));
        let nanos = (missing + limit - 1) / limit;
        Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Bucket;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_bucket_gives_a_minute_s_worth_at_once_and_then_evenly() {
        let start = Instant::now();
        let mut bucket = Bucket::new(5, start);
        assert!((0..5).all(|_| bucket.take(1).is_ok()));
        assert_eq!(bucket.take(1), Err(seconds(12)));
        bucket.refresh(5, start + seconds(11));
        assert_eq!(bucket.take(1), Err(seconds(1)));
        bucket.refresh(5, start + seconds(12));
        assert!(bucket.take(1).is_ok() && bucket.take(1).is_err());
        bucket.refresh(5, start + seconds(3_600));
        assert_eq!((bucket.standing().remaining, bucket.standing().full_in), (5, seconds(0)));
    }

    #[test]
    fn what_was_used_beyond_what_was_taken_is_a_debt() {
        let start = Instant::now();
        let mut bucket = Bucket::new(600, start);
        bucket.take(100).expect("is there");
        bucket.change(100, 700);
        assert_eq!((bucket.standing().remaining, bucket.standing().full_in), (0, seconds(70)));
        assert_eq!(bucket.take(10), Err(seconds(11)));
        // What was taken and not used is there again, and never more than the limit.
        bucket.change(700, 0);
        assert_eq!(bucket.standing().remaining, 600);
    }

    #[test]
    fn more_than_a_minute_s_worth_is_there_when_the_bucket_is_full() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        bucket.take(1).expect("is there");
        assert_eq!(bucket.take(1_000), Err(seconds(1)));
        bucket.refresh(60, start + seconds(1));
        assert!(bucket.take(1_000).is_ok());
        assert_eq!(bucket.take(1), Err(seconds(941)));
        // However deep the debt is, it is paid when that was said.
        bucket.refresh(60, start + seconds(941));
        assert_eq!(bucket.take(1), Err(seconds(1)));
        bucket.refresh(60, start + seconds(942));
        assert!(bucket.take(1).is_ok());
    }

    #[test]
    fn a_changed_limit_leaves_what_was_used() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        bucket.take(4).expect("is there");
        bucket.refresh(20, start);
        assert_eq!(bucket.standing().remaining, 16);
        bucket.refresh(3, start);
        assert_eq!(bucket.standing().remaining, 0);
    }
}
