//! The audit of some grants, told as it grows: from a cursor, nothing left out and nothing twice.

use distri::{
    Error, Result, StreamSender,
    directory::{Event, Filter, Refusal},
};

use super::{
    audit::{Dated, Entry},
    service::{PAGE, dated},
    store::{AUDIT, Store},
};

/// Tells entries for as long as it is let.
pub(crate) async fn tell_all(
    store: &Store,
    filter: &Filter,
    mut cursor: u64,
    sender: &StreamSender<Dated>,
) -> Result<()> {
    let entries = store.directory().collection::<Entry>(AUDIT);
    loop {
        // What was done before; then what is done from there on.
        let revision = loop {
            let after = filter.clone().and(Filter::gt("@revision", cursor));
            let page = store.find::<Entry>(AUDIT, after, "@revision", PAGE).await?;
            let Some(last) = page.documents.last() else {
                break page.revision;
            };
            cursor = last.revision;
            for entry in page.documents {
                sender.send(dated(entry)).await?;
            }
        };
        let watching = entries.watch().after(revision).filter(filter.clone()).await;
        let mut watch = match watching {
            Ok(watch) => watch,
            Err(error) if is_compacted(&error) => continue,
            Err(error) => return Err(error),
        };
        loop {
            match watch.next().await {
                Ok(events) => {
                    for event in events.events {
                        if let Event::Put(entry) = event {
                            cursor = cursor.max(entry.revision);
                            sender.send(dated(entry)).await?;
                        }
                    }
                }
                Err(error) if is_compacted(&error) => break,
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_compacted(error: &Error) -> bool {
    matches!(error.details(), Some(Refusal::Compacted { .. }))
}
