//! The audit of some grants, told as it grows: from a cursor, nothing left out. What took effect together is
//! told on end.

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
            let mut page = store.find::<Entry>(AUDIT, after, "@revision", PAGE).await?;
            let Some(last) = page.documents.last().map(|entry| entry.revision) else {
                break page.revision;
            };
            if page.cursor.is_some() && page.documents[0].revision != last {
                // The next page has all of these.
                page.documents.retain(|entry| entry.revision != last);
            }
            cursor = page.documents.last().map_or(last, |entry| entry.revision);
            for entry in dated(page.documents, true) {
                sender.send(entry).await?;
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
                    let put = events.events.into_iter().filter_map(|event| match event {
                        Event::Put(entry) => Some(entry),
                        _ => None,
                    });
                    // Never a part of a revision.
                    for entry in dated(put.collect(), true) {
                        cursor = cursor.max(entry.cursor);
                        sender.send(entry).await?;
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
