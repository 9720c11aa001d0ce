//! What stands before services that not every node may serve.

use std::{any::Any, sync::Arc};

use crate::{error::Result, fence::Fence};

/// Says whether this node may serve a call now.
pub(crate) trait Gate: Send + Sync + 'static {
    /// Lets a call in, or says where it belongs.
    ///
    /// # Errors
    /// [`crate::service::Elsewhere`], with which nothing has been done.
    fn admit(&self) -> Result<Admitted>;

    /// The number of the fence, if this node leads the service.
    fn leads(&self) -> Option<u64>;
}

/// A call that was let in.
pub(crate) struct Admitted {
    /// Under which it is served.
    pub(crate) fence: Fence,
    /// Held while the call is served.
    pub(crate) pass: Pass,
}

/// Held while a call is served; what the gate counts by.
pub(crate) type Pass = Arc<dyn Any + Send + Sync>;
