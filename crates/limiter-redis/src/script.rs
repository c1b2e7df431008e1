//! A decision by Redis.

use std::sync::LazyLock;

use agis_ratelimit::{Bucket, Draw, Verdict, joint};
use redis::{RedisResult, Script, aio::ConnectionLike};

/// The script. It repeats `Quota::take` and `joint::take_all` in Lua; a property test compares them.
const TAKE: &str = include_str!("take.lua");

/// The script with its digest, by which Redis knows it after the first call.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE));

/// Whether to take a token, or only to look for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Take,
    Peek,
}

impl Ask {
    fn word(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Peek => "peek",
        }
    }
}

/// Asks for a decision about these buckets: one EVALSHA. A restarted Redis has forgotten the script and receives it
/// first.
pub(crate) async fn ask(connection: &mut impl ConnectionLike, ask: Ask, draws: &[Draw]) -> RedisResult<Verdict> {
    let mut call = SCRIPT.arg(ask.word());
    for (bucket, quota) in draws {
        call.key(key(*bucket)).arg(quota.cost()).arg(quota.capacity());
    }
    let debts: Vec<u64> = call.invoke_async(connection).await?;
    Ok(verdict(draws, debts))
}

/// Derives the decision from the missing time: counted from now, that is when a bucket is full.
fn verdict(draws: &[Draw], debts: Vec<u64>) -> Verdict {
    let mut levels: Vec<_> = draws.iter().map(|(_, quota)| *quota).zip(debts).collect();
    joint::take_all(&mut levels, 0)
}

fn key(bucket: Bucket) -> String {
    format!("agis:limit:{}:{}", bucket.kind, bucket.id)
}

#[cfg(test)]
mod tests {
    use agis_local_services::redis::Redis;
    use agis_ratelimit::{Quota, joint::Level};
    use proptest::prelude::*;

    use super::*;

    /// Step of a caller: time to pass first (microseconds, as Redis counts; negative if the clock is set back), the
    /// buckets with their sizes, and whether to take a token.
    type Step = (i64, Vec<(usize, u32)>, bool);

    /// The real script, except for the clock, which the test moves and which expiring keys do not follow.
    fn clocked() -> Script {
        let mut text = TAKE.to_owned();
        let moved = "{ARGV[#ARGV - 1], ARGV[#ARGV]}";
        for (real, moved) in [("redis.call('TIME')", moved), ("math.ceil(after / 1000000)", "3600000")] {
            assert!(text.contains(real), "{real}");
            text = text.replace(real, moved);
        }
        Script::new(&text)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let wait =
            prop_oneof![4 => Just(0), 4 => 0_i64..2_000_000, 4 => 0_i64..4_000_000_000, 1 => -4_000_000_000_i64..0];
        // Mostly one quota, sometimes one that changes; quotas that do not divide an hour leave odd nanoseconds.
        let limit = || prop_oneof![3 => Just(7_u32), 1 => 1_u32..20, 1 => Just(3_600_000)];
        let several = prop::sample::subsequence(vec![0, 1, 2, 3], 1..4)
            .prop_flat_map(move |ids| ids.into_iter().map(|id| (Just(id), limit())).collect::<Vec<_>>());
        let asked = prop_oneof![1 => limit().prop_map(|limit| vec![(0, limit)]), 1 => several];
        prop::collection::vec((wait, asked, prop::bool::weighted(0.8)), 1..60)
    }

    #[test]
    fn script_agrees_with_memory() {
        let server = Redis::start().expect("a Redis");
        let client = redis::Client::open(server.url()).expect("a client");
        let script = clocked();
        let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(steps in steps(), start in 1_700_000_000_000_000_u64..1_900_000_000_000_000)| {
            let mut connection = client.get_connection().expect("a connection");
            redis::cmd("FLUSHALL").exec(&mut connection).expect("flushed");
            let (mut now, mut full_at) = (start, [0; 4]);
            for (wait, asked, take) in steps {
                now = now.saturating_add_signed(wait);
                let bucket = |id: usize| Bucket { kind: "key", id: i64::try_from(id).expect("a small number") };
                // Some requests take several tokens.
                let quota = |limit: u32| Quota::per_hour(limit).times(limit % 4);
                let draws: Vec<Draw> = asked.iter().map(|(id, limit)| (bucket(*id), quota(*limit))).collect();
                let mut call = script.arg(if take { "take" } else { "peek" });
                for (bucket, quota) in &draws {
                    call.key(key(*bucket)).arg(quota.cost()).arg(quota.capacity());
                }
                call.arg(now / 1_000_000).arg(now % 1_000_000);
                let debts: Vec<u64> = call.invoke(&mut connection).expect("a decision");
                let mut levels: Vec<Level> =
                    asked.iter().zip(&draws).map(|((id, _), (_, quota))| (*quota, full_at[*id])).collect();
                let expected = joint::take_all(&mut levels, now * 1000);
                prop_assert_eq!(verdict(&draws, debts), expected);
                if take {
                    asked.iter().zip(levels).for_each(|((id, _), (_, kept))| full_at[*id] = kept);
                }
            }
        });
    }
}
