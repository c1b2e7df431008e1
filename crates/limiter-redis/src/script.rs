//! One decision, made by Redis.

use std::sync::LazyLock;

use agis_ratelimit::{Bucket, Decision, Quota};
use redis::{RedisResult, Script, aio::ConnectionLike};

/// What is asked. It says again in Lua what `Quota::take` says; a property test holds the two together.
const TAKE: &str = include_str!("take.lua");

/// With its digest, by which Redis knows it after the first time.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE));

/// Whether a token is taken, or only looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Take,
    Peek,
}

/// Asks for a decision: one EVALSHA. A Redis that does not know the script, having been restarted, is told it first.
pub(crate) async fn ask(
    connection: &mut impl ConnectionLike,
    ask: Ask,
    bucket: Bucket,
    quota: Quota,
) -> RedisResult<Decision> {
    let mut call = SCRIPT.key(key(bucket));
    call.arg(quota.interval()).arg(quota.capacity()).arg(match ask {
        Ask::Take => "take",
        Ask::Peek => "peek",
    });
    let debt = call.invoke_async(connection).await?;
    // Counted from now, the bucket is full after what it lacks: so the decision is derived in one place.
    Ok(quota.take(debt, 0).0)
}

fn key(bucket: Bucket) -> String {
    format!("agis:limit:{}:{}", bucket.kind, bucket.id)
}

#[cfg(test)]
mod tests {
    use agis_test_support::redis::Redis;
    use proptest::prelude::*;

    use super::*;

    /// What a caller does: how far the clock goes first (microseconds, as Redis counts; it may be set back), what the
    /// caller may, and whether it takes.
    type Step = (i64, u32, bool);

    /// The script as it is, but for the clock, which the test moves, and which keys do not go by that expire.
    fn clocked() -> Script {
        let mut text = TAKE.to_owned();
        for (real, moved) in [("redis.call('TIME')", "{ARGV[4], ARGV[5]}"), ("math.ceil(after / 1000000)", "3600000")] {
            assert!(text.contains(real), "{real}");
            text = text.replace(real, moved);
        }
        Script::new(&text)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let wait =
            prop_oneof![4 => Just(0), 4 => 0_i64..2_000_000, 4 => 0_i64..4_000_000_000, 1 => -4_000_000_000_i64..0];
        // Mostly one quota, sometimes one that changes; those that do not divide an hour leave odd nanoseconds.
        let limit = prop_oneof![3 => Just(7_u32), 1 => 1_u32..20, 1 => Just(3_600_000)];
        prop::collection::vec((wait, limit, prop::bool::weighted(0.8)), 1..60)
    }

    #[test]
    fn the_script_agrees_with_the_arithmetic_of_memory() {
        let server = Redis::start().expect("a Redis");
        let client = redis::Client::open(server.url()).expect("a client");
        let script = clocked();
        let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(steps in steps(), start in 1_700_000_000_000_000_u64..1_900_000_000_000_000)| {
            let mut connection = client.get_connection().expect("a connection");
            redis::cmd("FLUSHALL").exec(&mut connection).expect("flushed");
            let (mut now, mut full_at) = (start, 0);
            for (wait, limit, take) in steps {
                now = now.saturating_add_signed(wait);
                let quota = Quota::per_hour(limit);
                let mut call = script.key("bucket");
                call.arg(quota.interval()).arg(quota.capacity()).arg(if take { "take" } else { "peek" });
                call.arg(now / 1_000_000).arg(now % 1_000_000);
                let debt = call.invoke(&mut connection).expect("a decision");
                let (expected, kept) = quota.take(full_at, now * 1000);
                prop_assert_eq!(quota.take(debt, 0).0, expected);
                if take {
                    full_at = kept;
                }
            }
        });
    }
}
