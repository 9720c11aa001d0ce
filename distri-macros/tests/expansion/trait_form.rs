//! `#[distri::service] trait Thumbnails { … }` and its implementations.

use distri::{Context, Result, Stream};

use crate::support::serve;

/// An interface in a module of its own, as in a crate of its own.
mod api {
    use distri::{Blob, Context, Result, Stream};

    /// Makes small images.
    #[distri::service(version = 2, access = authenticated)]
    pub(crate) trait Thumbnails {
        /// The length of `image` divided by `side`.
        #[method(idempotent, access = public)]
        async fn shrink(&self, image: Blob, side: u32) -> Result<u64>;

        #[method(access = public)]
        async fn progress(&self, cx: &Context, job: String) -> Result<Stream<String>>;

        /// Has a body: implementations may leave it out.
        #[method(access = public)]
        async fn greet(&self, cx: &Context, mut name: String, _times: u32) -> Result<String> {
            cx.check()?;
            name.insert_str(0, "dear ");
            Ok(name)
        }
    }
}

use api::ThumbnailsClient;

struct FastThumbnails {
    factor: u64,
}

#[distri::service(register = false)]
impl api::Thumbnails for FastThumbnails {
    async fn shrink(&self, image: distri::Blob, side: u32) -> Result<u64> {
        let bytes = image.bytes(1024).await?;
        Ok(bytes.len() as u64 * self.factor / u64::from(side))
    }

    async fn progress(&self, _cx: &Context, job: String) -> Result<Stream<String>> {
        Ok(Stream::from_items(
            job.chars().map(String::from).collect::<Vec<_>>(),
        ))
    }
}

/// Another implementation of the same interface.
#[derive(Default)]
struct SlowThumbnails;

#[distri::service(register = false)]
impl api::Thumbnails for SlowThumbnails {
    async fn shrink(&self, _image: distri::Blob, _side: u32) -> Result<u64> {
        Ok(0)
    }

    async fn progress(&self, _: &Context, _: String) -> Result<Stream<String>> {
        Ok(Stream::from_items(Vec::new()))
    }

    async fn greet(&self, _cx: &Context, name: String, times: u32) -> Result<String> {
        Ok(name.repeat(times as usize))
    }
}

#[tokio::test]
async fn a_client_of_the_interface_calls_whichever_implementation_serves() {
    let (_fast, client) = serve(|node| node.service(FastThumbnails { factor: 2 })).await;
    let fast = ThumbnailsClient::new(client);
    let (_slow, client) = serve(|node| node.service(SlowThumbnails)).await;
    let slow = ThumbnailsClient::new(client);
    let image = || distri::Blob::from(vec![0; 100]);

    assert_eq!(fast.shrink(image(), 10).await.unwrap(), 20);
    assert_eq!(slow.shrink(image(), 10).await.unwrap(), 0);
    let letters = fast
        .progress("abc".into())
        .await
        .unwrap()
        .collect(10)
        .await
        .unwrap();
    assert_eq!(letters, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_method_with_a_body_serves_where_an_implementation_has_none() {
    let (_fast, client) = serve(|node| node.service(FastThumbnails { factor: 2 })).await;
    let fast = ThumbnailsClient::new(client);
    let (_slow, client) = serve(|node| node.service(SlowThumbnails)).await;
    let slow = ThumbnailsClient::new(client);

    assert_eq!(fast.greet("Ann".into(), 2).await.unwrap(), "dear Ann");
    assert_eq!(slow.greet("Ann".into(), 2).await.unwrap(), "AnnAnn");
}

#[test]
fn the_descriptor_is_that_of_the_interface() {
    use distri::service::{Access, Service};

    let descriptor = FastThumbnails { factor: 1 }.descriptor();

    assert!(std::ptr::eq(descriptor, ThumbnailsClient::descriptor()));
    assert_eq!(
        (descriptor.name.as_str(), descriptor.version),
        ("thumbnails", 2)
    );
    assert_eq!(descriptor.docs, "Makes small images.");
    assert_eq!(descriptor.methods.len(), 3);
    assert_eq!(descriptor.methods[0].access, Access::Public);
    assert!(descriptor.methods[0].idempotent && descriptor.methods[1].shape.server_streams);
}

/// Implementations are ordinary: they can be called without any node, and mocked.
#[tokio::test]
async fn an_implementation_can_be_called_directly() {
    use api::Thumbnails;

    let fast = FastThumbnails { factor: 3 };

    assert_eq!(
        fast.shrink(distri::Blob::from(vec![0; 4]), 2)
            .await
            .unwrap(),
        6
    );
}
