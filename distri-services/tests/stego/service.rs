//! The stego service as its callers see it: a node and a client in one process, over real links.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{Random, Recipe, decode, encode, key};
use bytes::Bytes;
use distri::{
    Blob, Client, Code, Config, Node, config::Loader, identity::Identity, transport::Address,
};
use distri_services::stego::{Error, Format, HideOptions, Key, NotStego, Size, StegoClient};
use image::{ColorType, ImageFormat};

/// A node that offers what is linked, with `[services.stego]` as given, and a client of it.
async fn cloud(config: &str) -> (Node, StegoClient) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("distri.toml");
    std::fs::write(&file, config).unwrap();
    let mut config: Config = Loader::default().file(&file).load().unwrap();
    config.node.listen = Address::new("127.0.0.1:0");
    let node = Node::builder()
        .config(config)
        .identity(Identity::generate())
        .start()
        .await
        .unwrap();
    let client = Client::builder()
        .nodes([node.endpoint()])
        .connect()
        .await
        .unwrap();
    (node, StegoClient::new(client))
}

fn cover(side: u32) -> Bytes {
    Recipe::png(side, side, ColorType::Rgb8).file().into()
}

fn text(text: &'static str) -> Blob {
    Blob::from(text.as_bytes())
}

/// A blob that nobody knows the length of.
fn unmeasured(bytes: Vec<u8>) -> Blob {
    Blob::from_reader(None, std::io::Cursor::new(bytes))
}

#[tokio::test]
async fn what_is_hidden_on_a_node_is_revealed_by_it() {
    let (_node, stego) = cloud("").await;
    let payload = Random(1).bytes(300_000);
    let options = HideOptions {
        label: b"for you".to_vec(),
        ..HideOptions::default()
    };

    let room = stego.capacity(cover(1000).into()).await.unwrap();
    let made = stego
        .hide(cover(1000).into(), payload.clone().into(), key(), options)
        .await
        .unwrap();
    let report = made.report.clone();
    let image = made.image.bytes(1 << 30).await.unwrap();
    let found = stego.reveal(image.clone().into(), key()).await.unwrap();

    assert_eq!(
        room.size,
        Size {
            width: 1000,
            height: 1000
        }
    );
    assert_eq!(room.payload, Some((3_000_000 - 1472) / 8 - 20));
    assert_eq!((report.size, report.cover_format), (room.size, Format::Png));
    assert_eq!(decode(&image).color(), ColorType::Rgb8);
    assert_eq!(found.label, b"for you");
    assert!(found.payload.bytes(1 << 30).await.unwrap() == payload);
}

#[tokio::test]
async fn an_image_goes_from_hiding_to_revealing_without_being_held() {
    let (_node, stego) = cloud("").await;
    let options = HideOptions::default;

    let made = stego
        .hide(cover(400).into(), text("payload"), key(), options())
        .await
        .unwrap();
    let found = stego.reveal(made.image, key()).await.unwrap();
    let small = stego
        .hide(cover(40).into(), text(""), key(), options())
        .await
        .unwrap();
    let nothing = stego.reveal(small.image, key()).await.unwrap();

    assert_eq!(found.payload.bytes(100).await.unwrap(), "payload");
    assert_eq!(nothing.payload.bytes(100).await.unwrap(), "");
}

#[tokio::test]
async fn each_failure_arrives_typed_with_its_numbers() {
    let mark = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let (_node, stego) = cloud(&format!("[services.stego]\nmark_secret = \"{mark}\"\n")).await;
    let wrong = || Key::from_bytes([1; 32]);
    let options = HideOptions::default;

    let made = stego
        .hide(
            cover(80).into(),
            Blob::from(vec![7; 2000]),
            key(),
            options(),
        )
        .await
        .unwrap();
    let image = made.image.bytes(1 << 20).await.unwrap();
    let jpeg = encode(&decode(&image), ImageFormat::Jpeg);
    let mut painted = decode(&image).to_rgb8();
    for x in 0..80 {
        painted.put_pixel(x, 40, image::Rgb([0; 3]));
    }
    let painted = encode(&painted.into(), ImageFormat::Png);

    let tells = async |image: Bytes, key: Key| {
        let error = stego.reveal(image.into(), key).await.unwrap_err();
        (error.code(), error.details::<Error>().unwrap())
    };
    assert_eq!(
        tells(image.clone(), wrong()).await,
        (Code::Denied, Error::WrongKey)
    );
    assert_eq!(
        tells(painted.into(), key()).await,
        (Code::DataLoss, Error::Damaged)
    );
    let unmarked = Error::NotStego {
        reason: NotStego::Unmarked,
    };
    assert_eq!(tells(cover(80), key()).await, (Code::NotFound, unmarked));
    let lossy = Error::NotStego {
        reason: NotStego::Lossy(Format::Jpeg),
    };
    assert_eq!(tells(jpeg.into(), key()).await, (Code::NotFound, lossy));
    assert_eq!(
        tells("nonsense".into(), key()).await,
        (Code::InvalidArgument, Error::NotAnImage)
    );

    let payload = Blob::from(Random(2).bytes(5000));
    let error = stego
        .hide(cover(80).into(), payload, key(), options())
        .await
        .unwrap_err();
    let (has, needs) = (
        Size {
            width: 80,
            height: 80,
        },
        Size {
            width: 118,
            height: 118,
        },
    );
    let expected = Error::CoverTooSmall {
        payload: 5000,
        room: 2196,
        has,
        needs,
    };
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.details(), Some(expected));
}

#[tokio::test]
async fn the_operators_limits_hold() {
    let config = "[services.stego]\nfile_max = \"30 KiB\"\nwidth_max = 50\nparallel = 1\n";
    let (_node, stego) = cloud(config).await;
    let code = async |image: Blob| stego.capacity(image).await.unwrap_err().code();

    assert_eq!(code(cover(51).into()).await, Code::TooLarge);
    assert_eq!(code(vec![0; 30 * 1024 + 1].into()).await, Code::TooLarge);
    assert_eq!(
        code(unmeasured(vec![0; 30 * 1024 + 1])).await,
        Code::TooLarge
    );
    assert!(stego.capacity(unmeasured(cover(50).to_vec())).await.is_ok());
}

#[tokio::test]
async fn a_node_without_room_says_so_at_once_and_has_room_again_when_others_are_done() {
    let config = "[services.stego]\nfile_max = \"1 MiB\"\nwaiting_max = \"1 MiB\"\n";
    let (node, stego) = cloud(config).await;
    let (sender, stuck) = distri::Stream::<Bytes>::channel(1);
    let stuck = Blob::from_chunks(Some(1 << 20), stuck);
    let ask = || stego.capacity(cover(30).into());

    let slow = tokio::spawn(stego.capacity(stuck).into_future());
    while node.status().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let refused = ask().timeout(Duration::from_millis(300)).await.unwrap_err();
    slow.abort();
    drop(sender);
    let answered = ask().timeout(Duration::from_secs(30)).await;

    // A client repeats what a busy node refused, for as long as it has time.
    assert!(
        matches!(refused.code(), Code::Busy | Code::DeadlineExceeded),
        "{refused:?}"
    );
    assert!(answered.is_ok(), "{answered:?}");
}

#[tokio::test]
async fn hiding_tells_how_far_it_is() {
    let (_node, stego) = cloud("").await;
    let notes = Arc::new(Mutex::new(Vec::new()));
    let heard = notes.clone();

    let call = stego
        .hide(
            cover(600).into(),
            text("payload"),
            key(),
            HideOptions::default(),
        )
        .on_progress(move |progress| heard.lock().unwrap().push(progress.fraction));
    call.await.unwrap();

    let notes = notes.lock().unwrap();
    assert!(!notes.is_empty() && notes.is_sorted(), "{notes:?}");
}

#[tokio::test]
async fn a_configuration_under_which_nothing_works_is_refused_at_start() {
    for wrong in [
        "parallel = 0",
        "file_max = \"1 GiB\"",
        "mark_secret = \"short\"",
        "marc_secret = \"00\"",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("distri.toml");
        std::fs::write(&file, format!("[services.stego]\n{wrong}\n")).unwrap();
        let mut config: Config = Loader::default().file(&file).load().unwrap();
        config.node.listen = Address::new("127.0.0.1:0");

        let node = Node::builder()
            .config(config)
            .identity(Identity::generate())
            .start()
            .await;

        assert!(node.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_message_over_several_covers_comes_back_without_one_of_them() {
    let (_node, stego) = cloud("").await;
    let payload = Random(1).bytes(30_000);
    let covers = || (0..3).map(|i| cover(300 + 10 * i).into()).collect();

    let made = stego
        .hide_over(
            covers(),
            payload.clone().into(),
            key(),
            HideOptions::default(),
            2,
        )
        .await
        .unwrap();
    let mut images = Vec::new();
    for one in made {
        images.push(one.image.bytes(1 << 30).await.unwrap());
    }
    let blobs = |these: &[usize]| {
        let blob = |i: &usize| Blob::from(images[*i].clone());
        these.iter().map(blob).collect::<Vec<_>>()
    };
    let found = stego.reveal_from(blobs(&[2, 0]), key()).await.unwrap();
    let refused = stego.reveal_from(blobs(&[1]), key()).await.unwrap_err();

    assert_eq!(images.len(), 3);
    assert!(found.payload.bytes(1 << 30).await.unwrap() == payload);
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let missing = Error::PartsMissing {
        has: 1,
        needed: 2,
        parts: 3,
    };
    assert_eq!(refused.details::<Error>().unwrap(), missing);
}
