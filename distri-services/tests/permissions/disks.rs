//! What the cloud has of an image: everything that three nodes, left on their disks.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::granting::{Granted, PICTURE, ack_of, redeem_at_last, redeem_of};
use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER, HEXUPPER};
use distri::{Client, Config, Node, transport::Address};
use distri_services::permissions::{
    ContentKey, PermissionsClient, SealError, SealingSecret, open_content,
};
use zeroize::Zeroizing;

/// A node whose key, secret and data are where `init` and `join` put them.
fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    config.node.identity = folder.join("node.key");
    config.node.listen = Address::new("127.0.0.1:0");
    config.directory.path = Some(folder.join("data"));
    // So that there are snapshots too.
    config.directory.snapshot_after = 4096;
    config
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// All ways in which bytes may stand in a file that are not encrypted: as they are, and in each text
/// form, wherever in a longer text they begin.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![
        secret.to_vec(),
        HEXLOWER.encode(secret).into_bytes(),
        HEXUPPER.encode(secret).into_bytes(),
        BASE32_NOPAD
            .encode(secret)
            .to_ascii_lowercase()
            .into_bytes(),
        BASE32_NOPAD.encode(secret).into_bytes(),
    ];
    for skipped in 0..3 {
        // The part of the text that does not depend on what stands before and after.
        let rest = &secret[skipped..];
        let whole = &rest[..rest.len() / 3 * 3];
        all.push(BASE64.encode(whole).into_bytes());
    }
    let numbers: Vec<String> = secret.iter().map(ToString::to_string).collect();
    all.push(numbers.join(",").into_bytes());
    all
}

fn holds(file: &[u8], secret: &[u8]) -> bool {
    spellings(secret)
        .iter()
        .any(|text| file.windows(text.len()).any(|window| window == text))
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_8_the_cloud_cannot_see() {
    let folder = tempfile::tempdir().unwrap();
    let homes: Vec<PathBuf> = ["one", "two", "three"]
        .map(|name| folder.path().join(name))
        .into();
    let one = Node::builder()
        .config(config(&homes[0]))
        .found()
        .start()
        .await
        .unwrap();
    let mut nodes = vec![one.clone()];
    for home in &homes[1..] {
        let valid = Duration::from_secs(600);
        let token = one.client().join_token(valid).await.unwrap();
        let joins = Node::builder().config(config(home)).join(token);
        nodes.push(joins.start().await.unwrap());
    }
    let endpoints: Vec<_> = nodes.iter().map(Node::endpoint).collect();
    let client = Client::builder().nodes(endpoints).connect().await.unwrap();
    let ledger = PermissionsClient::new(client.clone());
    let mut granted = Granted::make(&ledger, 1, 3).await.unwrap();
    let mut looks = Vec::new();
    for seed in 1..=2 {
        let mut look = granted.look(seed);
        look.saved();
        let released = redeem_at_last(&ledger, &redeem_of(&look)).await.unwrap();
        look.released(&released, granted.is_cloud()).unwrap();
        assert_eq!(granted.show(&look), PICTURE);
        looks.push(look);
    }
    let (op, share) = granted.rekey(2, 9);
    ledger.rekey(op, share).await.unwrap();
    for look in &mut looks {
        look.shown();
        ledger.ack(ack_of(look)).await.unwrap();
    }
    // Enough for snapshots to be taken and logs to be cut.
    for seed in 10..40 {
        Granted::make(&ledger, seed, 1).await.unwrap();
    }
    // All that the cloud could try, while it is there: its own keys of the service.
    let secret = one.handle().secret("distri/permissions/v1").await.unwrap();
    for node in nodes {
        node.shutdown().await;
    }

    let dek = granted.secrets.content_key.reveal().to_vec();
    let hiding = granted.secrets.hiding_key.reveal().to_vec();
    let kem = granted.viewer_sealing.seed().to_vec();
    let nothing_of = [
        ("the content key", dek),
        ("the hiding key", hiding),
        ("the viewer's sealing key", kem),
        ("the picture", PICTURE.to_vec()),
        ("a part of the picture", PICTURE[20..52].to_vec()),
        ("the sealed picture", granted.ciphertext[..48].to_vec()),
        (
            "the viewer's envelope",
            granted.envelope.sealed[..48].to_vec(),
        ),
        ("the cloud's own secret", secret.bytes().to_vec()),
    ];
    let (mut shares, mut snapshots) = (0, 0);
    for home in &homes {
        for path in files(home) {
            let file = fs::read(&path).unwrap();
            for (what, secret) in &nothing_of {
                assert!(!holds(&file, secret), "{} has {what}", path.display());
            }
            shares += usize::from(holds(&file, &granted.share.sealed));
            snapshots += usize::from(path.to_string_lossy().contains("snap"));
            let beside = path.parent() == Some(home);
            let is_key =
                fs::read_to_string(&path).is_ok_and(|text| text.contains("never share it"));
            assert_eq!(beside, is_key, "{}", path.display());
        }
    }
    assert!(shares >= 3, "the search does not find what is there");
    assert!(snapshots >= 3, "there were no snapshots to search");

    // Nor does what the cloud has open anything. Its share opens to half of a key …
    let gh = granted.core.hash();
    let ours = |seed: [u8; 32]| SealingSecret::from_seed(Zeroizing::new(seed));
    let tried = [ours(**secret.bytes()), ours([0; 32])];
    for key in &tried {
        assert!(granted.envelope.open(&gh, key).is_err());
    }
    // … with which the content does not open, as it is or instead of the whole key.
    for half in [
        *granted.share.sealed.first_chunk::<32>().unwrap(),
        **secret.bytes(),
    ] {
        let key = ContentKey::from_bytes(Zeroizing::new(half));
        assert_eq!(
            open_content(&granted.core, &key, &granted.ciphertext).unwrap_err(),
            SealError::KeyCommitment
        );
    }
}
