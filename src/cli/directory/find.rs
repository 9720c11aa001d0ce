//! `directory get` and `directory find`.

use clap::Args;
use distri_core::directory::{Field, Filter, Page, Refusal};

use super::{Session, Start, follow, input, table::Table};
use crate::cli::{Failure, output::tell};

/// Documents asked for at once. More would make the first wait for the last, fewer cost a round
/// trip each.
const PAGE: usize = 1000;

/// What `directory get` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct GetArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
}

/// What `directory find` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = FILTERS)]
pub(super) struct FindArgs {
    /// The collection
    collection: String,
    /// Tests that must all hold [default: none]
    filter: Vec<String>,
    /// Order: size, or -size for the greatest first; a,-b [default: by id]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', allow_hyphen_values = true,
          value_parser = input::order)]
    sort: Vec<(String, bool)>,
    /// At most so many documents [default: 100]
    #[arg(long, value_name = "N", conflicts_with = "all")]
    limit: Option<usize>,
    /// All that match [default: off]
    #[arg(long)]
    all: bool,
    /// Print only how many match [default: off]
    #[arg(long, conflicts_with_all = ["limit", "all", "sort", "fields", "follow"])]
    count: bool,
    /// Columns: title,owner.name,@revision [default: those of the documents]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    fields: Vec<String>,
    /// Print what matches, and then changes as they are made [default: off]
    #[arg(short, long, conflicts_with_all = ["limit", "all", "sort", "fields"])]
    follow: bool,
}

pub(super) const FILTERS: &str = "\
Tests: = != < <= > >=, ^= begins with, ~= contains, =[a,b] one of, size? is there; or, not, ( ).
A field is size, address.city or tags.0; @id, @owner, @revision, @created, @updated and @lease are
the directory's. Shells read < > ( ) ? [ and quotes themselves: put such tests in single quotes.
A text with a space goes in double quotes inside of them:
  find images owner=alice 'size>=1000' name^=cat
  find images 'title=\"A cat\"' '(kind=png or kind=gif)' 'not private=true'
  find images @id^=2026- --sort -size --limit 10";

/// Documents shown where nobody said how many.
const LIMIT: usize = 100;

pub(super) async fn get(args: GetArgs, start: Start<'_>) -> Result<(), Failure> {
    let GetArgs { collection, id } = args;
    let session = start.connect().await?;
    let found = session.collection(&collection).get(id.as_str()).await;
    match found.map_err(|error| session.refused(error))? {
        Some(document) => session.show(&document),
        None => Err(session.refused(Refusal::Missing { collection, id }.into())),
    }
}

pub(super) async fn run(args: FindArgs, start: Start<'_>) -> Result<(), Failure> {
    let filter = input::filter(&args.filter)?;
    let session = start.connect().await?;
    if args.count {
        return count(&args.collection, filter, &session).await;
    }
    if args.follow {
        return follow::all(&args.collection, filter, &session).await;
    }
    let mut pages = Pages::new(&args.collection, filter, &session);
    pages.sort = args.sort;
    pages.left = if args.all {
        usize::MAX
    } else {
        args.limit.unwrap_or(LIMIT)
    };
    let mut table = Table::new(args.fields);
    let mut shown = 0;
    while let Some(page) = pages.next().await? {
        shown += page.documents.len();
        if session.json {
            for document in &page.documents {
                session.output.json_line(document)?;
            }
        } else {
            table.print(&page.documents, &session.output)?;
        }
    }
    if !session.json {
        table.tell_left_out();
        if pages.are_more {
            tell(&format!(
                "{shown} shown, more match: --limit N or --all shows them"
            ));
        } else if shown == 0 {
            tell("no document matches");
        }
    }
    Ok(())
}

async fn count(collection: &str, filter: Filter, session: &Session) -> Result<(), Failure> {
    let counted = session.collection(collection).count(filter).await;
    let count = counted.map_err(|error| session.refused(error))?;
    session.output.line(&count.to_string())
}

/// A search, page after page, so that what is found is never held all at once.
pub(super) struct Pages<'a> {
    collection: &'a str,
    filter: Filter,
    session: &'a Session,
    pub(super) sort: Vec<(String, bool)>,
    /// How many documents are still wanted.
    pub(super) left: usize,
    /// The search would go on, if more were wanted.
    pub(super) are_more: bool,
    cursor: Option<String>,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// All documents that match, by id.
    pub(super) fn new(collection: &'a str, filter: Filter, session: &'a Session) -> Self {
        Self {
            collection,
            filter,
            session,
            sort: Vec::new(),
            left: usize::MAX,
            are_more: false,
            cursor: None,
            is_over: false,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Page>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let size = self.left.min(PAGE);
        let mut find = self
            .session
            .collection(self.collection)
            .find(self.filter.clone())
            // A page of none is no page: one tells whether there are any.
            .limit(u32::try_from(size.max(1)).unwrap_or(u32::MAX));
        for (field, descending) in &self.sort {
            find = if *descending {
                find.sort_descending(Field::from(field.as_str()))
            } else {
                find.sort(Field::from(field.as_str()))
            };
        }
        if let Some(cursor) = self.cursor.take() {
            find = find.cursor(cursor);
        }
        let found = find.await;
        let mut page: Page = found.map_err(|error| self.session.refused(error))?;
        self.are_more = page.cursor.is_some() || page.documents.len() > self.left;
        page.documents.truncate(self.left);
        self.left -= page.documents.len();
        self.cursor = page.cursor.clone();
        self.is_over = self.cursor.is_none() || self.left == 0;
        Ok(Some(page))
    }
}
