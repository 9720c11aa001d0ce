//! What is configured out takes all that is generated for it along.

#[distri::service]
#[cfg(any())]
impl NotThere {
    async fn count(&self, text: NotThereEither) -> distri::Result<usize> {
        Ok(text.len())
    }
}

#[distri::service]
#[cfg(any())]
trait NotThere {
    async fn count(&self, text: NotThereEither) -> distri::Result<usize>;
}

#[distri::service]
#[cfg(any())]
impl NotThere for NorThis {
    async fn count(&self, text: NotThereEither) -> distri::Result<usize> {
        Ok(text.len())
    }
}

#[distri::message]
#[cfg(any())]
struct NotThereEither {
    part: NorThis,
}
