//! Data folders that earlier versions wrote open in this one, with everything in them.
//!
//! `tests/data/format-1` was written by the first version with a directory: a log (its zeros at the end
//! cut off) and no snapshot. It is never written anew; a change of format adds a folder beside it.
//! A new one is made with
//! `cargo test -p distri-core --test old_data -- --ignored --nocapture`, which says where it is.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives the world"
)]

extern crate distri_core as distri;

use std::{fs, path::Path, sync::Arc, time::Duration};

use distri::{
    Config, Node,
    directory::{CollectionSpec, Filter},
    identity::Identity,
    storage::FsDisk,
    transport::{Address, memory::Network},
};
use serde_json::json;

async fn node(folder: &Path, found: bool) -> Node {
    let network = Network::new(1);
    let mut config = Config::default();
    config.node.listen = Address::new("memory:1");
    let builder = Node::builder()
        .transport(Arc::new(network.transport(Identity::from_seed(&[7; 32]))))
        .config(config)
        .disk(Arc::new(FsDisk::open(folder).unwrap()))
        .without_registry();
    let builder = if found { builder.found() } else { builder };
    builder.start().await.unwrap()
}

#[tokio::test]
async fn a_folder_of_the_first_version_opens_with_everything_in_it() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1");
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }

    let node = node(folder.path(), false).await;

    let directory = node.handle().directory();
    let notes = directory.collection::<serde_json::Value>("notes");
    assert_eq!(notes.count(Filter::All).await.unwrap(), 40);
    let heavy = notes.find(Filter::ge("weight", 35)).await.unwrap();
    assert_eq!(heavy.documents.len(), 5);
    let first = notes.get("note-0").await.unwrap().unwrap();
    assert_eq!(
        first.value,
        json!({"text": "a note", "weight": 0, "changed": true})
    );
    assert!(first.revision > first.created_revision);
    assert!(
        notes
            .insert("note-41", &json!({"weight": "heavy"}))
            .await
            .is_err()
    );
    notes
        .insert("note-41", &json!({"text": "new", "weight": 41}))
        .await
        .unwrap();
    node.shutdown().await;
}

#[tokio::test]
#[ignore = "makes a new fixture"]
async fn make_a_folder() {
    let folder = tempfile::tempdir().unwrap().keep();
    let node = node(&folder, true).await;
    let directory = node.handle().directory();
    let schema = json!({
        "type": "object",
        "properties": {"text": {"type": "string"}, "weight": {"type": "integer"}},
        "required": ["weight"],
    });
    let notes = CollectionSpec::new("notes")
        .index(["weight"])
        .schema(schema);
    directory.create(notes).await.unwrap();
    let notes = directory.collection::<serde_json::Value>("notes");
    let lease = directory.lease(Duration::from_secs(3600)).await.unwrap();
    for i in 0..30 {
        let note = json!({"text": "a note", "weight": i});
        notes.insert(format!("note-{i}"), &note).await.unwrap();
    }
    for i in 30..40 {
        let note = json!({"text": "a note", "weight": i});
        notes
            .with_lease(&lease)
            .insert(format!("note-{i}"), &note)
            .await
            .unwrap();
    }
    notes
        .merge("note-0", &json!({"changed": true}))
        .await
        .unwrap();
    node.shutdown().await;
    println!("{}", folder.display());
}
