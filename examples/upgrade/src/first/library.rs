//! The library as it was at first.

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
    /// How many pages it has.
    pub(crate) pages: u32,
}

/// What a search found.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The books, in the order of their shelf marks.
    pub(crate) books: Vec<Book>,
}

/// Keeps books under shelf marks.
#[derive(Default)]
pub(crate) struct Library;

#[distri::service(collections = Self::collections)]
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

    /// Books whose shelf marks begin with `mark`.
    #[method(idempotent)]
    async fn find(&self, cx: &Context, mark: String) -> Result<Found> {
        let books = cx.directory().collection(BOOKS);
        let page = books.find(Filter::prefix("@id", mark)).await?;
        let books = page.documents.into_iter();
        Ok(Found {
            books: books.map(|document| document.value).collect(),
        })
    }
}

impl Library {
    fn collections(&self) -> Vec<CollectionSpec> {
        vec![CollectionSpec::new(BOOKS)]
    }
}
