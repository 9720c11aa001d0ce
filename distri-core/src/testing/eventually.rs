//! [`assert_eventually!`]: a condition that must come to hold.

/// Waits until a condition holds, and panics if it does not in time.
///
/// The condition is an expression, asked anew every few milliseconds; it may `await`. The time is
/// tokio's, so in a simulation ([`testing::simulate`](crate::testing::simulate)) it is virtual. A
/// message may follow, as in `assert!`.
///
/// ```
/// # extern crate distri_core as distri;
/// # use std::time::Duration;
/// use distri::testing::{assert_eventually, simulate};
///
/// simulate([7], async |sim| {
///     let cluster = sim.cluster(3).start().await;
///     let leader = cluster.leader().await;
///     cluster.crash(leader);
///
///     let within = Duration::from_secs(5);
///     assert_eventually!(cluster.leader_now().is_some(), within, "nobody took over from {leader}");
/// });
/// ```
#[macro_export]
macro_rules! assert_eventually {
    ($condition:expr, $within:expr $(,)?) => {
        $crate::assert_eventually!($condition, $within, "{}", ::core::stringify!($condition))
    };
    ($condition:expr, $within:expr, $($message:tt)+) => {{
        let within: ::core::time::Duration = $within;
        let mut wait = $crate::__private::Wait::new(within);
        while !$condition {
            if !wait.again().await {
                ::core::panic!("not within {:?}: {}", within, ::core::format_args!($($message)+));
            }
        }
    }};
}
