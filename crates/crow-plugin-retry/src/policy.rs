//! When to ask again, and after how long: a function of what went wrong and of what was tried, and of nothing else.

use std::time::Duration;

use crow_acp::{ProviderError, ProviderErrorKind};
use serde::{Deserialize, Deserializer};

/// `[plugins.retry]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    /// Most requests for one answer, the first included.
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) attempts: u32,
    /// The wait before the second request, in seconds; it doubles with each further one.
    #[serde(deserialize_with = "seconds")]
    pub(crate) base_delay: Duration,
    /// The longest such wait, in seconds.
    #[serde(deserialize_with = "seconds")]
    pub(crate) max_delay: Duration,
    /// The longest wait for one answer in all, in seconds. A provider that asks for more is not asked again.
    #[serde(deserialize_with = "seconds")]
    pub(crate) max_total: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { attempts: 5, base_delay: seconds(1), max_delay: seconds(30), max_total: seconds(180) }
    }
}

/// What the policy says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// Ask again.
    Retry {
        /// After so long.
        after: Duration,
        /// What the user is told meanwhile.
        notice: String,
    },
    /// The conversation is too long: asking again as it is cannot help.
    Shorten,
    /// Leave it, although asking again might have helped: why.
    GiveUp {
        /// What the user is told.
        notice: String,
    },
    /// Leave it: asking again cannot help.
    Fail,
}

impl Policy {
    /// What to do when the `attempt`-th request (from 1) failed with `error`, after `waited` in all. `jitter` is a
    /// random number from 0 to 1, so that many clients of one busy server do not all come back at the same moment.
    pub(crate) fn decide(&self, error: &ProviderError, attempt: u32, waited: Duration, jitter: f64) -> Decision {
        if error.kind == ProviderErrorKind::ContextOverflow {
            return Decision::Shorten;
        }
        if !may_help(error) {
            return Decision::Fail;
        }
        if attempt >= self.attempts {
            // Whoever wants one request and no more need not hear that there was one.
            let notice = format!("gave up after {attempt} requests");
            return if self.attempts == 1 { Decision::Fail } else { Decision::GiveUp { notice } };
        }
        let after = match error.retry_after.filter(|asked| !asked.is_zero()) {
            // Never sooner than asked to, and a little later than the others who were.
            Some(asked) => asked + self.base_delay.min(asked).mul_f64(jitter * 0.5),
            // "Now" is what a server says that does not know; all who ask at once would make it worse.
            None => self.delay(attempt).mul_f64(0.5 + jitter * 0.5),
        };
        if waited.saturating_add(after) > self.max_total {
            let notice = match error.retry_after {
                Some(asked) if asked > self.max_total => {
                    format!("not asked again: the provider wants {} of waiting", in_words(asked))
                }
                _ => format!("gave up: {} of waiting did not help", in_words(waited)),
            };
            return Decision::GiveUp { notice };
        }
        let notice = format!("retrying {}/{} in {}: {}", attempt + 1, self.attempts, in_words(after), error.message);
        Decision::Retry { after, notice }
    }

    /// The wait after the `attempt`-th request, before chance has its say.
    fn delay(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base_delay.saturating_mul(factor).min(self.max_delay)
    }
}

/// Whether the same request may succeed later.
fn may_help(error: &ProviderError) -> bool {
    error.kind.is_transient() && !matches!(error.status, Some(400..=404))
}

fn in_words(wait: Duration) -> String {
    if wait < Duration::from_secs(1) {
        format!("{} ms", wait.as_millis())
    } else {
        format!("{} s", wait.as_secs_f64().round())
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| serde::de::Error::custom("expected a number of seconds, 0 or more"))
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if number == 0 { Err(serde::de::Error::custom("expected 1 or more: the first request counts")) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use crow_acp::ProviderErrorKind as Kind;
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Kind; 12] = [
        Kind::Authentication,
        Kind::Payment,
        Kind::NotFound,
        Kind::BadRequest,
        Kind::RateLimit,
        Kind::Overloaded,
        Kind::Server,
        Kind::Connection,
        Kind::Timeout,
        Kind::ContextOverflow,
        Kind::Protocol,
        Kind::Unsupported,
    ];

    fn error(kind: Kind) -> ProviderError {
        ProviderError::new(kind, "it said no")
    }

    fn decide(error: &ProviderError, attempt: u32) -> Decision {
        Policy::default().decide(error, attempt, Duration::ZERO, 1.0)
    }

    #[test]
    fn every_key_is_read() {
        let read = |text: &str| {
            let text = format!("[plugins.retry]\n{text}\n");
            crow_acp::Config::from_toml("/home/ada/.crow", &text).unwrap().plugin::<Policy>("retry")
        };
        let policy = read("attempts = 2\nbase_delay = 0.25\nmax_delay = 3\nmax_total = 4").unwrap();
        let ms = Duration::from_millis;
        let wanted = Policy { attempts: 2, base_delay: ms(250), max_delay: ms(3_000), max_total: ms(4_000) };
        assert_eq!(policy, wanted);
        for wrong in ["attempts = 0", "base_delay = -1", "max_delay = 'long'", "max_totl = 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_user_reads_how_often_and_when() {
        let wanted =
            Decision::Retry { after: Duration::from_secs(8), notice: "retrying 5/5 in 8 s: it said no".into() };
        assert_eq!(decide(&error(Kind::Server), 4), wanted);
        let Decision::Retry { notice, .. } = Policy::default().decide(&error(Kind::Server), 1, Duration::ZERO, 0.0)
        else {
            panic!("no retry");
        };
        assert_eq!(notice, "retrying 2/5 in 500 ms: it said no");
    }

    #[test]
    fn the_provider_is_not_asked_sooner_than_it_wants() {
        let error = error(Kind::RateLimit).with_status(429).with_retry_after(Some(Duration::from_secs(20)));
        let Decision::Retry { after, .. } = decide(&error, 1) else { panic!("no retry") };
        assert_eq!(after, Duration::from_millis(20_500));
        let error = error.with_retry_after(Some(Duration::from_hours(1)));
        let wanted = "not asked again: the provider wants 3600 s of waiting".to_owned();
        assert_eq!(decide(&error, 1), Decision::GiveUp { notice: wanted }, "nobody waits for an hour");
        let error = error.with_retry_after(Some(Duration::MAX / 2));
        assert!(matches!(decide(&error, 1), Decision::GiveUp { .. }));
    }

    #[test]
    fn a_provider_that_says_now_is_not_asked_at_once() {
        let error = error(Kind::Overloaded).with_retry_after(Some(Duration::ZERO));
        let Decision::Retry { after, .. } = decide(&error, 3) else { panic!("no retry") };
        assert_eq!(after, Duration::from_secs(4));
    }

    #[test]
    fn the_user_reads_why_there_is_no_further_request() {
        let notice = |policy: Policy, attempt, waited| match policy.decide(&error(Kind::Server), attempt, waited, 1.0) {
            Decision::GiveUp { notice } => notice,
            other => panic!("{other:?}"),
        };
        assert_eq!(notice(Policy::default(), 5, Duration::ZERO), "gave up after 5 requests");
        assert_eq!(notice(Policy::default(), 4, Duration::from_secs(175)), "gave up: 175 s of waiting did not help");
        let once = Policy { attempts: 1, ..Policy::default() };
        assert_eq!(once.decide(&error(Kind::Server), 1, Duration::ZERO, 1.0), Decision::Fail);
    }

    #[test]
    fn what_asking_again_cannot_help() {
        for kind in
            [Kind::Authentication, Kind::Payment, Kind::NotFound, Kind::BadRequest, Kind::Protocol, Kind::Unsupported]
        {
            assert_eq!(decide(&error(kind), 1), Decision::Fail, "{kind:?}");
        }
        assert_eq!(decide(&error(Kind::ContextOverflow), 1), Decision::Shorten);
    }

    #[test]
    fn what_it_may_help() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            let kind = if status == 429 { Kind::RateLimit } else { Kind::Server };
            assert!(matches!(decide(&error(kind).with_status(status), 1), Decision::Retry { .. }), "{status}");
        }
        for kind in [Kind::Connection, Kind::Timeout, Kind::Overloaded] {
            assert!(matches!(decide(&error(kind), 1), Decision::Retry { .. }), "{kind:?}");
        }
    }

    fn policies() -> impl Strategy<Value = Policy> {
        (1u32..40, 0u64..100_000, 0u64..100_000, 0u64..1_000_000).prop_map(|(attempts, base, max, total)| {
            let ms = Duration::from_millis;
            Policy { attempts, base_delay: ms(base), max_delay: ms(max), max_total: ms(total) }
        })
    }

    fn errors() -> impl Strategy<Value = ProviderError> {
        let status = prop_oneof![Just(None), (400u16..600).prop_map(Some)];
        let after = prop_oneof![Just(None), (0u64..10_000_000).prop_map(|ms| Some(Duration::from_millis(ms)))];
        (0..KINDS.len(), status, after).prop_map(|(kind, status, after)| {
            let mut error = error(KINDS[kind]).with_retry_after(after);
            error.status = status;
            error
        })
    }

    proptest! {
        /// However a provider fails, one answer costs no more requests and no more waiting than configured, and no wait
        /// is shorter than the provider asked for.
        #[test]
        fn everything_is_bounded(policy in policies(), errors in proptest::collection::vec(errors(), 60), jitter in 0.0f64..1.0) {
            let mut waited = Duration::ZERO;
            let mut requests = 0;
            for (attempt, error) in (1..).zip(&errors) {
                requests = attempt;
                match policy.decide(error, attempt, waited, jitter) {
                    Decision::Retry { after, .. } => {
                        prop_assert!(error.kind.is_transient());
                        prop_assert!(!matches!(error.status, Some(400..=404)));
                        match error.retry_after {
                            Some(asked) if !asked.is_zero() => prop_assert!(after >= asked),
                            _ => prop_assert!(after <= policy.max_delay),
                        }
                        waited += after;
                    }
                    Decision::Shorten => {
                        prop_assert_eq!(error.kind, Kind::ContextOverflow);
                        break;
                    }
                    Decision::GiveUp { .. } | Decision::Fail => break,
                }
            }
            prop_assert!(requests <= policy.attempts);
            prop_assert!(waited <= policy.max_total);
        }

        /// Chance shortens a wait by half at most, and waits do not get shorter from one attempt to the next.
        #[test]
        fn waits_grow(policy in policies(), attempt in 1u32..100) {
            prop_assert!(policy.delay(attempt) <= policy.delay(attempt + 1));
            let policy = Policy { attempts: u32::MAX, max_total: Duration::MAX, ..policy };
            let wait = |jitter| match policy.decide(&error(Kind::Server), attempt, Duration::ZERO, jitter) {
                Decision::Retry { after, .. } => after,
                other => panic!("{other:?}"),
            };
            prop_assert!(wait(0.0) * 2 + Duration::from_micros(1) >= wait(1.0));
        }
    }
}
