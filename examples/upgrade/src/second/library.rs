//! The library as it became: books have a language, searches a limit and a hint that there is more,
//! and there is one method more. Whatever is new has a default, for callers and for books that know
//! nothing of it.

use distri::{
    Context, Result,
    directory::{CollectionSpec, Filter},
};

/// Where the books are kept.
const BOOKS: &str = "library";

/// A book.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    /// What it is called.
    pub(crate) title: String,
    /// What it is written in.
    #[serde(default)]
    pub(crate) language: Language,
    /// How many pages it has.
    pub(crate) pages: u32,
}

/// What a book is written in.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// Nobody has said.
    #[default]
    Unknown,
    /// English.
    English,
    /// Latin.
    Latin,
}

/// What a search found.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The books, in the order of their shelf marks.
    pub(crate) books: Vec<Book>,
    /// There are others beyond the limit.
    #[serde(default)]
    pub(crate) more: bool,
}

/// Keeps books under shelf marks.
#[derive(Default)]
pub(crate) struct Library;

#[distri::service(version = 2, collections = Self::collections)]
impl Library {
    /// Puts a book on its place.
    #[method(idempotent)]
    async fn put(&self, cx: &Context, mark: String, book: Book) -> Result<()> {
        let books = cx.directory().collection(BOOKS);
        books.put(mark, &book).await.map(drop)
    }

    /// The book with this shelf mark.
    #[method(idempotent)]
    async fn get(&self, cx: &Context, mark: String) -> Result<Option<Book>> {
        let book = cx.directory().collection(BOOKS).get(mark).await?;
        Ok(book.map(|document| document.value))
    }

    /// Books whose shelf marks begin with `mark`, `limit` at most.
    #[method(idempotent)]
    async fn find(&self, cx: &Context, mark: String, limit: Option<u32>) -> Result<Found> {
        let books = cx.directory().collection(BOOKS);
        let find = books.find(Filter::prefix("@id", mark));
        let page = match limit {
            Some(limit) => find.limit(limit).await?,
            None => find.await?,
        };
        Ok(Found {
            more: page.cursor.is_some(),
            books: page.documents.into_iter().map(|d| d.value).collect(),
        })
    }

    /// Sets the language of a book, and gives the book.
    #[method(idempotent)]
    async fn translate(&self, cx: &Context, mark: String, language: Language) -> Result<Book> {
        let books = cx.directory().collection::<Book>(BOOKS);
        books
            .update(mark, |book| {
                book.language = language;
                Ok::<_, distri::Error>(())
            })
            .await
    }
}

impl Library {
    fn collections(&self) -> Vec<CollectionSpec> {
        vec![CollectionSpec::new(BOOKS)]
    }
}
