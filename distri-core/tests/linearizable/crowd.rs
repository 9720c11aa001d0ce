//! The test that the original system failed: clients that each add a document, read it, update it
//! and read it again, all at once.

use distri::{
    Client, Result,
    directory::{CollectionSpec, Filter, Who},
};

use crate::{directory_support::Cluster, replicas};

const COLLECTION: &str = "images";

#[distri::message]
#[derive(Clone, Debug, PartialEq)]
struct Image {
    title: String,
    version: u32,
}

/// So many clients on so many nodes.
pub(crate) async fn run(nodes: usize, clients: usize) {
    let cluster = Cluster::of(nodes, clients as u64).await;
    let spec = CollectionSpec::new(COLLECTION)
        .read(Who::Public)
        .write(Who::Public);
    let directory = cluster.node(0).handle().directory();
    directory.create(spec).await.unwrap();
    let mut all = Vec::new();
    for number in 0..clients {
        all.push((number, cluster.new_client().await));
    }

    let visits: Vec<_> = all
        .into_iter()
        .map(|(number, client)| tokio::spawn(visit(number, client)))
        .collect();
    for visit in visits {
        visit.await.unwrap().unwrap();
    }

    let images = directory.collection::<Image>(COLLECTION);
    let kept = images.find(Filter::All).limit(1000).all(clients).await;
    let kept = kept.unwrap();
    assert_eq!(kept.len(), clients);
    assert!(kept.iter().all(|document| document.value.version == 2));
    replicas::must_agree(&cluster, &[COLLECTION]).await;
}

async fn visit(number: usize, client: Client) -> Result<()> {
    let images = client.directory().collection::<Image>(COLLECTION);
    let id = format!("image-{number:04}");
    let image = |version| Image {
        title: format!("Image {number}"),
        version,
    };

    let added = images.insert(id.as_str(), &image(1)).await?;
    let read = images.get(id.as_str()).await?.expect("it was added");
    assert_eq!((read.revision, read.value), (added, image(1)));

    let updated = images.replace_if(id.as_str(), added, &image(2)).await?;
    let read = images.get(id.as_str()).await?.expect("it was updated");
    assert_eq!((read.revision, read.value), (updated, image(2)));
    Ok(())
}
