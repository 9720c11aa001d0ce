//! Finding offers by what they are called and by who offers them.
//!
//! The catalogue searches titles. A text that is somebody's handle finds what they offer first, then
//! what has the text in its title. The page's cursor says which of both it is in.

use distri::Result;
use distri_services::images::{
    cloud::Search,
    person::{CatalogEntry, Person},
    record::Handle,
};

use super::super::person::CatalogQuery;

/// Begins the cursor of a page of somebody's offers; of offers by title.
const BY_OWNER: char = 'o';
const BY_TITLE: char = 't';

/// A page of offers, and where the next one begins.
pub(super) async fn page(
    person: &Person,
    query: &CatalogQuery,
) -> Result<(Vec<CatalogEntry>, Option<String>)> {
    let text = query.text.trim();
    let owner = match Handle::new(text) {
        // Nobody is called so, or the node tells nonsense: then titles remain.
        Ok(handle) => person.named(&handle).await.ok(),
        Err(_) => None,
    };
    let after = query.after.as_deref().unwrap_or_default();
    let limit = u32::try_from(query.limit).unwrap_or(u32::MAX);
    let (by, cursor) = match (after.strip_prefix(BY_OWNER), after.strip_prefix(BY_TITLE)) {
        (Some(cursor), _) => (BY_OWNER, cursor),
        (_, Some(cursor)) => (BY_TITLE, cursor),
        _ if owner.is_some() => (BY_OWNER, ""),
        _ => (BY_TITLE, ""),
    };
    let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
    let search = Search {
        limit,
        cursor,
        ..Search::default()
    };
    if by == BY_OWNER
        && let Some(owner) = &owner
    {
        let search = Search {
            owner: Some(owner.key),
            ..search
        };
        let found = person.catalog(search).await?;
        let next = found.cursor.map(|cursor| format!("{BY_OWNER}{cursor}"));
        let next = next.unwrap_or_else(|| BY_TITLE.to_string());
        return Ok((found.entries, Some(next)));
    }
    let search = Search {
        text: (!text.is_empty()).then(|| text.to_owned()),
        ..search
    };
    let found = person.catalog(search).await?;
    let mut entries = found.entries;
    if let Some(owner) = owner {
        // They came before.
        entries.retain(|entry| entry.owner.key != owner.key);
    }
    Ok((
        entries,
        found.cursor.map(|cursor| format!("{BY_TITLE}{cursor}")),
    ))
}
