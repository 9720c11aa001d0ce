//! [`Owned`]: that the node which serves a call owns its key.

use std::{fmt, future::Future};

use crate::{
    error::{Code, Error, Result},
    node::gate::KeyPass,
};

/// That the node which serves a call owns its key: no other node serves a call of this key meanwhile.
///
/// Generated code has it for methods with `placement = key(…)`; a service written by hand gets it from
/// [`crate::Context::own`].
#[must_use = "the key is owned while this is held"]
pub struct Owned {
    /// None where nobody sees to who owns what: the node keeps no directory.
    pass: Option<KeyPass>,
    /// Tells a simulation that the node serves the key.
    #[cfg(feature = "testing")]
    act: Option<crate::world::process::Act>,
}

impl Owned {
    pub(crate) fn new(pass: Option<KeyPass>) -> Self {
        Self {
            #[cfg(feature = "testing")]
            act: pass.as_ref().and_then(|pass| act(&pass.fence)),
            pass,
        }
    }

    /// Runs `work` as long as the key is this node's.
    ///
    /// # Errors
    /// [`Code::UnknownOutcome`] if it is not any more before `work` has ended: `work` was dropped. Work
    /// on a key that moves in an orderly way has five seconds to end.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T> {
        let Some(KeyPass { over, pass, .. }) = self.pass else {
            return Ok(work.await);
        };
        let result = tokio::select! {
            biased;
            () = over => Err(Error::new(
                Code::UnknownOutcome,
                "the key went to another node while the call was served",
            )),
            result = work => Ok(result),
        };
        // Nobody else begins before the pass is given back.
        #[cfg(feature = "testing")]
        drop(self.act);
        drop(pass);
        result
    }
}

#[cfg(feature = "testing")]
fn act(fence: &crate::fence::Fence) -> Option<crate::world::process::Act> {
    let key = fence.key?;
    crate::world::process::act(|| crate::world::process::Part::Owner {
        of: fence.election().to_owned(),
        key: format!("{key:016x}"),
    })
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fence = self.pass.as_ref().map(|pass| &pass.fence);
        f.debug_tuple("Owned").field(&fence).finish()
    }
}
