//! The waiting of `assert_eventually!`.

use std::time::Duration;

use tokio::time::Instant;

use crate::world;

/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits between looks at a condition, up to a time.
#[derive(Debug)]
pub struct Wait(Instant);

impl Wait {
    /// At most for so long.
    pub fn new(within: Duration) -> Self {
        Self(world::now() + within)
    }

    /// Waits a moment; false if the time is over.
    pub async fn again(&mut self) -> bool {
        if world::now() >= self.0 {
            return false;
        }
        world::pause(PAUSE).await;
        true
    }
}
