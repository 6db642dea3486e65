//! *clock*: what time it is for plugins.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fixture::Stage;

/// What plugins read their time from.
#[derive(Clone, Default)]
pub(crate) enum Clock {
    /// The system's.
    #[default]
    System,
    /// That of a fixture, which stands still until the fixture goes on.
    Stage(Arc<Stage>),
}

impl Clock {
    /// What time it is.
    pub(crate) fn now(&self) -> SystemTime {
        match self {
            Clock::System => SystemTime::now(),
            Clock::Stage(stage) => stage.clock.now(),
        }
    }

    /// The same in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }

    /// How much time has passed since then; in a fixture since its beginning.
    #[cfg(feature = "wasm")]
    pub(crate) fn since(&self, then: Instant) -> Duration {
        match self {
            Clock::System => then.elapsed(),
            Clock::Stage(stage) => stage.clock.elapsed(),
        }
    }
}
