//! The four shapes, told by the types, and blobs.

use distri::{Blob, Result, Stream};

use crate::support::serve;

#[derive(Default)]
struct Shapes;

#[distri::service(register = false)]
impl Shapes {
    async fn unary(&self, number: u32) -> Result<u32> {
        Ok(number + 1)
    }

    async fn server(&self, until: u32) -> Result<Stream<u32>> {
        Ok(Stream::from_items(0..until))
    }

    async fn client(&self, start: u32, mut numbers: Stream<u32>) -> Result<u32> {
        let mut sum = start;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }

    async fn both(&self, mut numbers: Stream<u32>) -> Result<Stream<u64>> {
        let (sender, doubled) = Stream::channel(1);
        tokio::spawn(async move {
            while let Some(Ok(number)) = numbers.next().await {
                if sender.send(u64::from(number) * 2).await.is_err() {
                    break;
                }
            }
        });
        Ok(doubled)
    }

    async fn blob(&self, bytes: Blob) -> Result<Blob> {
        let mut bytes = bytes.bytes(1 << 20).await?.to_vec();
        bytes.reverse();
        Ok(Blob::from(bytes))
    }
}

#[test]
fn the_types_tell_the_shape() {
    let shapes: Vec<_> = ShapesClient::descriptor()
        .methods
        .iter()
        .map(|method| method.shape.to_string())
        .collect();

    assert_eq!(
        shapes,
        [
            "unary",
            "server stream",
            "client stream",
            "bidirectional stream",
            "unary"
        ]
    );
}

#[tokio::test]
async fn each_shape_runs() {
    let (_node, client) = serve(|node| node.service(Shapes)).await;
    let shapes = ShapesClient::new(client);

    assert_eq!(shapes.unary(1).await.unwrap(), 2);
    assert_eq!(
        shapes.server(3).await.unwrap().collect(9).await.unwrap(),
        [0, 1, 2]
    );
    assert_eq!(
        shapes.client(100, Stream::from_items(0..4)).await.unwrap(),
        106
    );
    let doubled = shapes.both(Stream::from_items(0..3)).await.unwrap();
    assert_eq!(doubled.collect(9).await.unwrap(), [0, 2, 4]);
}

#[tokio::test]
async fn a_blob_travels_both_ways() {
    let (_node, client) = serve(|node| node.service(Shapes)).await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();

    let reversed = ShapesClient::new(client)
        .blob(Blob::from(bytes.clone()))
        .await
        .unwrap();

    let mut reversed = reversed.bytes(1 << 20).await.unwrap().to_vec();
    reversed.reverse();
    assert!(reversed == bytes);
}
